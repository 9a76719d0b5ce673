# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Exit codes: what scripts and units rely on, and that one module alone has their numbers."""

import ast
from pathlib import Path

import kontenumfs
from kontenumfs.protocol.exits import Exit

ROOT = Path(kontenumfs.__file__).parent
ENDINGS = ("UserError", "ConfigurationError", "Finding", "exit", "_exit")
"""Calls that take an exit code."""


def test_the_codes_that_others_rely_on() -> None:
    """mount(8) and shells give some of them their meaning, our units others."""
    assert (Exit.OK, Exit.NOT_MOUNTED, Exit.INTERRUPTED, Exit.READER_GONE) == (0, 32, 130, 141)
    unit = (ROOT.parent / "systemd/kontenumfs@.service").read_text()
    assert f"RestartPreventExitStatus={Exit.USAGE:d} {Exit.CREDENTIALS:d}\n" in unit


def test_every_code_says_what_it_means() -> None:
    """By its docstring, in one line."""
    assert all(code.meaning and "\n" not in code.meaning + code.cure for code in Exit)


def test_nobody_else_has_a_number() -> None:
    """Whoever ends a process names the reason."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in ENDINGS
        if any(
            isinstance(argument, ast.Constant) and isinstance(argument.value, int)
            for argument in (*node.args, *(keyword.value for keyword in node.keywords))
        )
    ]
    assert not wrong
