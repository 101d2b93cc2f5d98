"""`motemo ports`: the ports that are there, which answer, and why the others do not."""

import asyncio
from dataclasses import asdict

from ..ports import survey
from .common import Common


def ports(*, common: Common | None = None) -> None:
    """List serial ports and virtual boards, and say what is behind each."""
    common = common or Common()
    reports = asyncio.run(survey(common.open_home().path))
    lines = [f"{report.path}  {report.state}: {report.text}" for report in reports]
    common.show(
        [asdict(report) for report in reports],
        "\n".join(lines) or "There is no serial port. Plug a board in, or start one: motemo board run NAME",
    )
