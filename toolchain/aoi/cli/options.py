"""Options that commands share. Groups are dataclasses, which a command takes as one parameter."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from aoi.choices import Split

if TYPE_CHECKING:
    from aoi.workflow.network import Network
    from aoi.workflow.recordings import Selection

NetworkArgument = Annotated[
    Path, typer.Argument(metavar="NET", help="A network file (NetX HDF5), a run folder, or zoo:NAME.")
]
InputShapeOption = Annotated[
    str | None,
    typer.Option(metavar="C,H,W", help="Input shape, for a file that begins with a convolution and lacks it."),
]
RecurrentFlag = Annotated[
    bool,
    typer.Option(
        "--recurrent", help="Read layers of type recurrent, which Lava drops, as dense layers that feed themselves."
    ),
]
SplitOption = Annotated[Split, typer.Option(case_sensitive=False, help="Part of the data set.")]
RuleOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME:THRESHOLD[:SCALE]",
        help="Rule to use instead of the file's. Thresholds of confidence, int-confidence, entropy and conformal are "
        "fractions, of gap and int-gap a lead, of fixed and patience steps. Missing parts come from the file.",
    ),
]
NoCutoffFlag = Annotated[bool, typer.Option("--no-cutoff", help="Run all T steps of every sample.")]
DownloadFlag = Annotated[
    bool, typer.Option("--download", help="Download a named data set that is not on this machine.")
]
SkipDamagedFlag = Annotated[
    bool, typer.Option("--skip-damaged", help="Skip recordings that cannot be read, and list them.")
]
BoardOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Board: nahuku, oheogulch or kapohopoint. Default: all of them.")
]
DtOption = Annotated[
    float | None,
    typer.Option(help="Time step of NIR's time constants, in s. Default: 1e-4, as most simulators assume."),
]
DiscretisationOption = Annotated[
    Literal["euler", "exponential"],
    typer.Option(help="What a time constant keeps in a step: 1 - dt / tau (snnTorch, Norse), or exp(-dt / tau)."),
]
MaxDropOption = Annotated[float, typer.Option(help="Largest allowed accuracy drop, between 0 and 1.")]
PartitionOption = Annotated[str | None, typer.Option(help="Slurm partition. Default: that of the cluster.")]
MinutesOption = Annotated[
    int, typer.Option(min=1, help="Time limit of a job in minutes, after which it is requeued and resumes.")
]


@dataclass(frozen=True)
class NetworkOptions:
    """A network file, and the input shape if the file lacks it."""

    net: NetworkArgument
    input_shape: InputShapeOption = None
    recurrent: RecurrentFlag = False
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a file of which Lava changes something, such as long delays.")
    ] = False

    def load(self, *, values: bool = False) -> Network:
        """Reads the file. Raises NetXError, DataError."""
        from aoi.workflow.network import load

        shape = shape_of(self.input_shape)
        return load(self.net, input_shape=shape, values=values, recurrent=self.recurrent, strict=self.strict)


@dataclass(frozen=True)
class RecordingOptions:
    """Which recordings to open, and how to encode them if the network file does not say it."""

    data: Annotated[
        str | None,
        typer.Option(
            help="Name of a data set, or a folder Train|Test/<label>/*. Default: the network's training data."
        ),
    ] = None
    split: SplitOption = "test"
    samples: Annotated[int | None, typer.Option(min=1, help="Use only the first N recordings of the split.")] = None
    window_us: Annotated[int | None, typer.Option(min=1, help="Time window in µs, if the file has no encoding.")] = None
    bins: Annotated[int | None, typer.Option(min=1, max=4096, help="Timesteps T, if the file has no encoding.")] = None
    download: DownloadFlag = False
    skip_damaged: SkipDamagedFlag = False

    @property
    def selection(self) -> Selection:
        from aoi.workflow.recordings import Selection

        return Selection(**vars(self))


@dataclass(frozen=True)
class CalibrationOptions(RecordingOptions):
    """:class:`RecordingOptions` with the split calibration as default."""

    split: SplitOption = "calibration"


def shape_of(text: str | None) -> tuple[int, int, int] | None:
    """The shape (2, 34, 34) from the text ``2,34,34``. Raises DataError."""
    from aoi.errors import DataError

    if text is None:
        return None
    try:
        channels, height, width = (int(part) for part in text.split(","))
    except ValueError:
        channels = height = width = 0
    if min(channels, height, width) < 1:
        raise DataError(f"--input-shape {text}: expected C,H,W, three positive whole numbers such as 2,34,34")
    return channels, height, width


def rate_of(text: str) -> float:
    """The rate 0.1 from the text ``random:0.1``. Raises DataError."""
    from aoi.errors import DataError

    kind, _, rate_text = text.partition(":")
    try:
        rate = float(rate_text)
    except ValueError:
        rate = -1.0
    if kind != "random" or not 0 <= rate <= 1:
        raise DataError(f"--input {text}: expected random:RATE with a rate between 0 and 1, such as random:0.1")
    return rate


def expand_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Adapts a command for typer: replaces each parameter of a dataclass type by one option for each field.

    The command gets the dataclass.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if not is_dataclass(kind):
            parameters.append(parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[parameter.name] = kind
        of_fields = get_type_hints(kind, include_extras=True)
        for field in fields(kind):
            default = inspect.Parameter.empty if field.default is MISSING else field.default
            parameters.append(
                inspect.Parameter(
                    field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=of_fields[field.name]
                )
            )

    def expanded(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        command(**values)

    expanded.__doc__ = command.__doc__
    expanded.__name__ = command.__name__
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def first_line(command: Callable[..., None]) -> str:
    """The first sentence of a command's help, for the list of commands."""
    return (command.__doc__ or "").partition("\n")[0]
