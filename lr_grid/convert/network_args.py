"""A ready --network_args line, quoted for bash or for PowerShell."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lr_grid.convert.arguments import lone_arguments, settings_of
from lr_grid.convert.base import Arguments, Format, Job
from lr_grid.convert.quoting import bash, powershell, split_bash, split_powershell
from lr_grid.convert.texts import NETWORK_ARGS, pairs_of
from lr_grid.errors import GridError, Problems, did_you_mean
from lr_grid.gridfile import load_grid_file
from lr_grid.keys import HINTS, is_grid_key


def _reader(split: Callable[[str], list[str]]) -> Callable[[str, Job], Arguments]:
    def read(text: str, job: Job) -> Arguments:
        """The arguments of a line."""
        return checked(pairs_of(split(text)), job)

    return read


def checked(given: dict[str, str], job: Job) -> Arguments:
    """Network arguments whose own settings are right; a grid file that they name takes its place among them.

    Raises: GridError.
    """
    if not given:
        raise GridError(["args: there is no key=value"])
    arguments: Arguments = dict(given)
    if "grid" in arguments:
        name = arguments.pop("grid")
        if any(is_grid_key(key) for key in arguments):
            raise GridError([f"grid={name} stands beside other settings: convert the file, and add them to the result"])
        try:
            file = load_grid_file(name)
        except ValueError as error:
            raise GridError([f"grid: {error}"]) from None
        arguments |= {**file.published, **file.settings}
    if not any(is_grid_key(key) for key in arguments):
        problems = Problems()
        for key in arguments:
            problems.add(f"{key}: is no setting of a grid.{did_you_mean(key, HINTS)}")
        problems.raise_if_any()
    settings_of(arguments)
    return arguments


def _writer(quote: Callable[[Iterable[str]], str], shell: str) -> Callable[[Arguments, Job], str]:
    def write(arguments: Arguments, job: Job) -> str:
        """One line."""
        words = [f"{key}={text}" for key, text in lone_arguments(arguments, job)]
        if shell == "powershell":
            problems = Problems()
            for word in words:
                if '"' in word:
                    problems.add(f"{word}: PowerShell before 7.3 loses the double quotes: use --to config")
            problems.raise_if_any()
        return f"{NETWORK_ARGS} {quote(words)}\n"

    return write


BASH = Format(
    name="args",
    title="a --network_args line for bash",
    holds="everything of the grid but values with =, spaces or quotes",
    example="--network_args self_attn_lr=1.5x depth_strategy=linear",
    read=_reader(split_bash),
    write=_writer(bash, "bash"),
)
POWERSHELL = Format(
    name="args-powershell",
    title="a --network_args line for PowerShell",
    holds="everything of the grid but values with =, spaces or quotes",
    example="--network_args self_attn_lr=1.5x 'block_lr_weight=double_0-6:0.3,single:0.8'",
    read=_reader(split_powershell),
    write=_writer(powershell, "powershell"),
)
