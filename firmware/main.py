"""The application of this board: start from here.

A sensor returns its value, or None when it has none. A command gets what follows `set NAME` in the chat and returns
its answer. Both may be async functions.
"""

import esp32
from machine import Pin

from motemo.agent import Agent

agent = Agent.load()
relay_pin = Pin(2, Pin.OUT)


@agent.sensor("temperature", unit="Cel")
def temperature():
    return esp32.mcu_temperature()


@agent.command("relay")
def relay(state):
    if state not in ("on", "off"):
        return "relay is on or off, say one of them"
    relay_pin.value(state == "on")
    return "relay is " + state


agent.run()
