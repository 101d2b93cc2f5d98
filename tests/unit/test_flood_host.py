"""The floods of tests.unit.test_flood at full length."""

from tests.covers import covers
from tests.unit import test_flood


@covers("O-147")
def test_ten_thousand_forged_key_exchanges_of_strangers():
    test_flood.flood_of_strangers(10_000)


@covers("O-147")
def test_ten_thousand_forged_key_exchanges_with_the_owners_key():
    test_flood.flood_with_the_owners_key(10_000)
