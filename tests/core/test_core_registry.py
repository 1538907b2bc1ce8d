"""Plugins are checked when they are registered, found by name, and suggested when misspelt."""

from __future__ import annotations

from importlib import metadata

import pytest

from attain.core import registry
from attain.core.errors import EnvironmentProblem, PluginError


class _Strategy:
    def propose(self, space, history, n, seed):
        return ()

    def judge(self, history, running):
        return {}


def test_a_registered_plugin_is_found():
    """After registering, the name is listed and gives the class."""
    registry.register("strategy", "mine", _Strategy)
    assert registry.find("strategy", "mine") is _Strategy
    assert "mine" in registry.names("strategy")


def test_a_registered_plugin_goes_before_a_built_in_one():
    """A user's own class of the same name is preferred."""
    registry.register("strategy", "grid", _Strategy)
    assert registry.find("strategy", "grid") is _Strategy


class _NoJudge:
    def propose(self, space, history, n, seed):
        return ()


class _NoSeed(_Strategy):
    def propose(self, space, history, n):
        return ()


class _NotAMethod(_Strategy):
    judge = 3


class _Everything(_Strategy):
    def propose(self, space, **others):
        return ()


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (_NoJudge, r"strategy 'mine' \(_NoJudge\): judge is missing"),
        (_NoSeed, "propose lacks the argument 'seed'"),
        (_NotAMethod, "judge must be a method"),
        (object, "propose is missing; judge is missing"),
    ],
)
def test_a_broken_plugin_is_refused_at_once(plugin, message):
    """The message names plugin, method and argument; nothing is registered."""
    with pytest.raises(PluginError, match=message):
        registry.register("strategy", "mine", plugin)
    assert "mine" not in registry.names("strategy")


def test_keyword_catchers_keep_the_contract():
    """A method that takes any keyword arguments is accepted."""
    registry.register("strategy", "mine", _Everything)


def test_properties_of_the_contract_may_be_attributes():
    """A check's code may be a plain class attribute, but must exist."""

    class Coded:
        code = "D900"

        def run(self, subject):
            return None

    class Uncoded:
        def run(self, subject):
            return None

    registry.register("check", "mine", Coded)
    with pytest.raises(PluginError, match="code is missing"):
        registry.register("check", "other", Uncoded)


def test_unknown_names_and_kinds_get_a_suggestion():
    """A misspelt strategy or kind is refused with the nearest valid one."""
    with pytest.raises(PluginError, match="no strategy is called 'byes' — did you mean 'bayes'"):
        registry.find("strategy", "byes")
    with pytest.raises(PluginError, match="no plugins of kind 'strategie' — did you mean"):
        registry.names("strategie")


def test_aliases():
    """The common other name of a plugin finds it."""
    assert registry.find("strategy", "bayesian") is registry.find("strategy", "bayes")


def test_every_built_in_strategy_keeps_the_contract():
    """What the table names can be imported and would be accepted by `register`."""
    for name, address in registry._BUILT_IN["strategy"].items():
        registry.register("strategy", name, registry.load(address))


class _Entry:
    def __init__(self, name, plugin):
        self.name, self._plugin = name, plugin

    def load(self):
        return self._plugin


def test_installed_packages_offer_plugins(monkeypatch):
    """An entry point is listed, found, and checked like any other."""
    entries = {"attain.strategy": [_Entry("theirs", _Strategy), _Entry("bad", _NoJudge)]}
    monkeypatch.setattr(metadata, "entry_points", lambda group: entries.get(group, []))
    assert {"theirs", "bad"} <= set(registry.names("strategy"))
    assert registry.find("strategy", "theirs") is _Strategy
    with pytest.raises(PluginError, match="judge is missing"):
        registry.find("strategy", "bad")


@pytest.mark.parametrize(
    "address", ["attain.core.seeds:nothing", "attain.core.nowhere:x", "no_such_package:x"]
)
def test_a_wrong_address_is_named(address):
    """A module or attribute that does not exist gives a message with the address."""
    with pytest.raises(PluginError, match=f"check the address '{address}'"):
        registry.load(address)


def test_a_missing_package_is_not_a_wrong_address(tmp_path, monkeypatch):
    """A plugin whose own imports are not installed says which package is missing."""
    (tmp_path / "needy_plugin.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EnvironmentProblem, match="needs the package 'not_installed_anywhere'"):
        registry.load("needy_plugin:Mine")
