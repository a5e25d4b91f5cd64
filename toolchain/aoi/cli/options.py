"""Options that commands share, as dataclasses: a command takes the whole group as one parameter."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

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
    typer.Option(metavar="C,H,W", help="Shape of the input, for a file that begins with a convolution and lacks it."),
]
SplitOption = Annotated[Split, typer.Option(case_sensitive=False, help="Which part of the recordings.")]
RuleOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME:THRESHOLD[:SCALE]",
        help="Instead of the file's rule: confidence, entropy, conformal (shares), gap (a lead), fixed, patience "
        "(steps), int-confidence, int-gap. What it leaves out comes from the file.",
    ),
]
NoCutoffFlag = Annotated[bool, typer.Option("--no-cutoff", help="Run all T steps of every sample.")]
DownloadFlag = Annotated[bool, typer.Option("--download", help="Fetch a named data set if it is not here yet.")]
SkipDamagedFlag = Annotated[
    bool, typer.Option("--skip-damaged", help="Leave out recordings that cannot be read; they are named and counted.")
]
BoardOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="nahuku, oheogulch or kapohopoint. Default: all of them.")
]
MaxDropOption = Annotated[float, typer.Option(help="Largest accuracy drop allowed, between 0 and 1.")]
PartitionOption = Annotated[str | None, typer.Option(help="Slurm's partition. Default: the cluster's own.")]
MinutesOption = Annotated[
    int, typer.Option(min=1, help="Time limit of a job in minutes; then it is requeued and resumes.")
]


@dataclass(frozen=True)
class NetworkOptions:
    """A network file and what it may leave open about itself."""

    net: NetworkArgument
    input_shape: InputShapeOption = None

    def load(self, *, values: bool = False) -> Network:
        """Reads the file. Raises NetXError, DataError."""
        from aoi.workflow.network import load

        return load(self.net, input_shape=shape_of(self.input_shape), values=values)


@dataclass(frozen=True)
class RecordingOptions:
    """Which recordings, and what the network file leaves open about them."""

    data: Annotated[
        str | None,
        typer.Option(
            help="A data set's name or a folder Train|Test/<label>/*. Default: what the network was trained on."
        ),
    ] = None
    split: SplitOption = "test"
    samples: Annotated[int | None, typer.Option(min=1, help="Only the first N recordings of the split.")] = None
    window_us: Annotated[int | None, typer.Option(min=1, help="Time window in µs, if the file names no encoding.")] = (
        None
    )
    bins: Annotated[int | None, typer.Option(min=1, max=4096, help="Timesteps T, if the file names no encoding.")] = (
        None
    )
    download: DownloadFlag = False
    skip_damaged: SkipDamagedFlag = False

    @property
    def selection(self) -> Selection:
        from aoi.workflow.recordings import Selection

        return Selection(**vars(self))


@dataclass(frozen=True)
class CalibrationOptions(RecordingOptions):
    """As :class:`RecordingOptions`, of the split calibration."""

    split: SplitOption = "calibration"


def shape_of(text: str | None) -> tuple[int, int, int] | None:
    """``2,34,34`` → (2, 34, 34). Raises DataError."""
    from aoi.errors import DataError

    if text is None:
        return None
    try:
        channels, height, width = (int(part) for part in text.split(","))
    except ValueError:
        channels = height = width = 0
    if min(channels, height, width) < 1:
        raise DataError(f"--input-shape {text}: expected C,H,W, three whole numbers from 1, as 2,34,34")
    return channels, height, width


def expand_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer wants it: a parameter whose type is a dataclass becomes one option for each of its fields,
    and the command gets the dataclass."""
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
    """What the list of commands says of one: the first sentence of its help, whole."""
    return (command.__doc__ or "").partition("\n")[0]
