"""`motemo ports`: the ports that are there, which answer, and why the others do not."""

import asyncio

from ..ports import probe_all
from .common import Common


def ports(*, common: Common | None = None) -> None:
    """List serial ports and virtual boards, and say what is behind each."""
    common = common or Common()
    reports = asyncio.run(probe_all(common.open_home().virtual_boards()))
    lines = [f"{report.path}  {report.state}{': ' + report.text if report.text else ''}" for report in reports]
    common.show(
        [report._asdict() for report in reports],
        "\n".join(lines) or "There is no serial port. Plug a board in, or start one: motemo board run NAME",
    )
