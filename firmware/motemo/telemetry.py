"""Readings: one measured value with name, unit and time (a SenML record, RFC 8428), and the outbox that keeps them.

A sample is what all sensors said at one moment: (seconds of the board's own clock, [(name, unit, value), …]). It
travels as a line for people and as SenML JSON for programs.
"""

_SIGNS = {"Cel": "°C", "%RH": "%", "Pa": "Pa", "lx": "lx", "V": "V", "A": "A", "W": "W", "m": "m", "/": ""}


def line(values) -> str:
    """The sample for people: "temperature 21.5 °C, humidity 48 %"."""
    parts = []
    for name, unit, value in values:
        sign = _SIGNS.get(unit, unit)
        parts.append(name + " " + _number(value) + (" " + sign if sign else ""))
    return ", ".join(parts)


def senml(time, values) -> str:
    """The sample as a SenML pack in JSON (RFC 8428, section 5). time: Unix seconds, 0 when they are not known."""
    records = []
    for name, unit, value in values:
        fields = ['"n":"' + name + '"']
        if unit:
            fields.append('"u":"' + unit + '"')
        if isinstance(value, bool):
            fields.append('"vb":' + ("true" if value else "false"))
        else:
            fields.append('"v":' + _number(value))
        if time:
            fields.append('"t":' + str(time))
        records.append("{" + ",".join(fields) + "}")
    return "[" + ",".join(records) + "]"


def check_name(name):
    """Raises ValueError unless the name is one that SenML allows (RFC 8428, section 4.5.1)."""
    for char in name:
        if not (char.isalpha() or char.isdigit() or char in "-:./_") or ord(char) > 127:
            raise ValueError("name " + name)
    if not name or not (name[0].isalpha() or name[0].isdigit()):
        raise ValueError("name " + name)


def _number(value):
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return str(value)
    text = "%.3f" % value
    while text.endswith("0"):
        text = text[:-1]
    return text[:-1] if text.endswith(".") else text


class Outbox:
    """Samples that nobody has taken over yet, oldest first; `dropped` counts those that found no room."""

    def __init__(self, size):
        self._size = size
        self._samples = []
        self.dropped = 0

    def __len__(self):
        return len(self._samples)

    def put(self, sample):
        """Adds a sample; the oldest one goes when there is no room."""
        if len(self._samples) >= self._size:
            self._samples.pop(0)
            self.dropped += 1
        self._samples.append(sample)

    def first(self):
        """The oldest sample; it stays until `taken`."""
        return self._samples[0]

    def taken(self, sample):
        """Removes a sample that was handed over, unless it was dropped meanwhile."""
        if self._samples and self._samples[0] is sample:
            self._samples.pop(0)
