"""What the pages name exists, and what exists is named: commands, options, functions, methods."""

from __future__ import annotations

import re

import pytest

import spikewright as sw
from docs_tools.cli_reference import all_commands, option_names, page

from .pages import DOCS, PAGES, ROOT, named_commands, text_of

COMMANDS = all_commands()


def command_of(program: str, words: list[str]) -> str:
    """The command that a line calls, with its program; the program alone where it calls none."""
    names = [word for word in words if not word.startswith("-")]
    return " ".join([program, *names[:1]])


@pytest.mark.parametrize("page_name", PAGES)
def test_commands_and_options_named_exist(page_name: str) -> None:
    for program, *words in named_commands(text_of(page_name)):
        name = command_of(program, words)
        if name == program or name.endswith(" COMMAND"):
            continue
        assert name in COMMANDS, f"{page_name} names a command that is not there: {name}"
        options = [word.partition("=")[0] for word in words if re.match(r"-{1,2}[a-z]", word)]
        unknown = set(options) - option_names(COMMANDS[name]) - {"--debug", "--version"}
        assert not unknown, f"{page_name}: {name} has no {unknown}"


@pytest.mark.parametrize("page_name", PAGES)
def test_options_between_backticks_exist(page_name: str) -> None:
    known = {"--debug", "--version", "--help"}.union(*map(option_names, COMMANDS.values()))
    known |= {"--num_processes", "--multi_gpu", "--nproc-per-node"}  # of the launchers
    named = set(re.findall(r"`(--[a-z][a-z_-]*)", text_of(page_name)))
    assert named <= known, f"{page_name} names options that are not there: {named - known}"


def test_the_reference_has_every_command_and_option() -> None:
    text = page()
    for name, command in COMMANDS.items():
        assert f"\n## {name}\n" in text
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for option in option_names(command) - {"--help", "-h"}:
            assert f"`{option}`" in section, (name, option)


def test_the_reference_has_every_public_name() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: spikewright\.(?:[\w.]+\.)?(\w+)$", text, re.MULTILINE))
    assert set(sw.__all__) - shown == {"__version__"}
    assert "`sw.__version__`" in text


def test_the_reference_has_every_name_that_a_page_imports() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: (spikewright[\w.]*)$", text, re.MULTILINE))
    imported = {
        f"{module}.{name}"
        for page_name in PAGES
        for module, names in re.findall(
            r"^from (spikewright[\w.]*) import ([\w, ]+)$", text_of(page_name), re.MULTILINE
        )
        for name in names.split(", ")
    }
    assert len(imported) >= 10
    assert not imported - shown


def test_public_names_in_pages_exist() -> None:
    for name in PAGES:
        for called in set(re.findall(r"\bsw\.([A-Za-z_]+)", text_of(name))):
            assert hasattr(sw, called), f"{name} names sw.{called}"


def test_every_method_has_a_page_that_names_its_paper() -> None:
    index = text_of("docs/methods/index.md")
    for name, method in sw.methods.METHODS.items():
        text = text_of(f"docs/methods/{name}.md")
        assert f"({name}.md)" in index
        for number in re.findall(r"arXiv (\d{4}\.\d{5})", method.paper):
            assert f"https://arxiv.org/abs/{number}" in text


def test_every_page_stands_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    for path in DOCS.rglob("*.md"):
        assert f" {path.relative_to(DOCS)}\n" in navigation, f"{path.name} is in no menu"


def test_pages_load_nothing_from_elsewhere() -> None:
    for name in PAGES:
        text = text_of(name)
        assert not re.search(r"<(script|link|img|iframe)\b", text), name
        assert not re.search(r"!\[[^]]*\]\(https?:", text), name
