"""Named settings: defaults, changes, names that do not exist."""

from motemo import settings
from motemo.omemo import records
from tests.memory_store import MemoryStore


def test_default_until_it_is_changed():
    store = MemoryStore()
    assert settings.read(store, "every") == "60" and settings.read(store, "state") == ""
    store.commit([settings.change("every", "5"), settings.change("label", "Küche")])
    store = store.copy()
    assert settings.read(store, "every") == "5" and settings.read(store, "label") == "Küche"
    store.commit([settings.change("label", "")])
    assert settings.read(store, "label") == "", "set to nothing is not the default"
    assert settings.read(store, "mode") == "linked"


def test_empty_is_not_the_default():
    store = MemoryStore()
    store.commit([settings.change("every", "")])
    assert settings.read(store, "every") == ""


def test_names_that_do_not_exist():
    for use in (lambda: settings.read(MemoryStore(), "evry"), lambda: settings.change("evry", "1")):
        try:
            use()
        except KeyError:
            continue
        raise AssertionError("it was taken")


def test_kind_is_none_of_the_engines():
    assert settings.SETTING not in records.ALL
