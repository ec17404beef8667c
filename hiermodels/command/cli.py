"""The command line: a table and a formula to a posterior, tables, pictures and a report.

    hiermodels fit data/sites.csv "y ~ x + (x | site)" --out report/
    hiermodels fit --config analysis.toml

What a user did wrong is one message on stderr and exit code 2, never a traceback. Nothing heavy is
imported before it is needed, so that ``--help`` answers at once.
"""

from __future__ import annotations

import atexit
import gc
import inspect
import json
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import reduce, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, get_type_hints

import typer

from hiermodels.errors import (
    FileError,
    HierModelsError,
    HierModelsWarning,
    InterruptedSamplingError,
    PriorError,
    SettingsError,
    counted,
)
from hiermodels.files import reason

if TYPE_CHECKING:
    import pandas as pd

    from hiermodels.distributions import Prior
    from hiermodels.fitting import Model
    from hiermodels.results import Fit
    from hiermodels.roles import Roles

__all__ = ["app", "main"]

USER_ERROR = 2
INTERRUPTED = 130

DEMO_DATA = "sites"
DEMO_FORMULA = "y ~ x + (x | site)"
DEMO_SEED = 1
SAVED, REPORT = "fit.hm", "report.html"

#: The ``\\b`` keeps the lines of a paragraph as they are; a bracket that names a table is escaped,
#: or it would be taken for a colour.
FORMULAS = """\
\b
Formulas:
  "y ~ x + (1 | site)"             an intercept for each site
  "y ~ x + (x | site)"             also a slope for each, correlated with it
  "y ~ x + (x || site)"            the same, not correlated
  "y ~ x + (1 | pop/patch)"        patches nested in populations
  "y ~ 1 + (1 | plate) + (1 | sample)"   two crossed factors
  "y ~ x*w + (x | site)"           an interaction with a predictor of the site
  "dead / total ~ x + (1 | site)" --family binomial   successes of trials
  "n ~ x + offset(log(area)) + (1 | site)" --family poisson    counts per area
"""
FIT_EXAMPLES = """\
\b
Examples:
  hiermodels fit sites.csv "y ~ x + (x | site)" --seed 1 --out report
  hiermodels fit sites.csv "y ~ x" --prior "x=Normal(mu=0, sigma=1)"
  hiermodels fit messung.csv "y ~ x + (1 | ort)" --separator ";" --decimal ","
  hiermodels fit plots.xlsx "y ~ x + (1 | plot)" --sheet 2024 --na - --na n.d.
  zcat big.csv.gz | hiermodels fit - "y ~ x + (1 | site)"
  hiermodels fit --config analysis.toml --seed 2
"""
CONFIG = """\
\b
A file of settings, overruled by the command line:
  data = "sites.csv"               from the folder of the file
  formula = "y ~ x + (x | site)"
  seed = 1
  out = "report"
  \\[priors]
  x = "Normal(mu=0, sigma=1)"
  \\[compare]                        of this command alone
  formulas = ["y ~ x + (1 | site)", "y ~ x + (x | site)"]
"""
EXIT_CODES = """\
\b
Exit codes:
  0    done
  1    a fault of hiermodels itself, with a traceback to report
  2    something to mend in the command, the data or the settings
  130  interrupted
"""
COMPARE_EXAMPLES = """\
\b
Examples:
  hiermodels compare a.csv "y ~ x + (1 | site)" "y ~ x + (x | site)" --seed 1
  hiermodels compare a.csv "y ~ 1 + (1 | site)" "y ~ x + (1 | site)" --by logo
  hiermodels compare --config analysis.toml
"""
POOLING_EXAMPLES = """\
\b
Examples:
  hiermodels pooling sites.csv "y ~ x + (x | site)" --seed 1 --out pooled
  hiermodels pooling plots.csv "y ~ x + (1 | pop/patch)" --group pop:patch
"""
REPORT_EXAMPLES = """\
\b
Examples:
  hiermodels report report/fit.hm                    writes report/fit.html
  hiermodels report report/fit.hm --out paper.tex    LaTeX, and paper_files
  hiermodels report report/fit.hm --out notes.md --rows patients
"""

app = typer.Typer(
    name="hiermodels",
    help="Bayesian hierarchical models: from a table and a formula to a posterior, a variance "
    "report, group estimates and pictures.",
    epilog='Start with "hiermodels demo", then "hiermodels fit --help".\n\n' + EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The console script ``hiermodels``."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # a terminal that lacks a character of a label shows "?", and the fit is not lost
            stream.reconfigure(errors="replace")
    # all is written by then: to look for what could be freed takes half a second
    atexit.register(gc.freeze)
    app()


def show_version(wanted: bool) -> None:
    if wanted:
        from hiermodels import __version__

        typer.echo(f"hiermodels {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    pass


def use_config(context: typer.Context, path: Path | None) -> Path | None:
    """The settings of a file become the defaults of the command."""
    if path is not None:
        from hiermodels.command.settings import read_settings

        with clean_errors():
            found = read_settings(path, command=str(context.info_name), commands=SETTINGS)
            context.default_map = as_options(found)
    return path


def as_options(found: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as the options that they stand for."""
    options = dict(found)
    if "priors" in options:
        priors = options.pop("priors")
        if isinstance(priors, dict):
            priors = [f"{name}={prior}" for name, prior in priors.items()]
        options["prior"] = priors
    if isinstance(options.get("formulas"), dict):
        options["formulas"] = [f"{name}: {text}" for name, text in options["formulas"].items()]
    return options


Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A table with a header: CSV (.tsv with tabs), .xlsx, .parquet, .feather or .jsonl; "
        "text also in .gz, .bz2, .xz, .zst or .zip; - is standard input.",
    ),
]
Formula = Annotated[
    str,
    typer.Argument(metavar="FORMULA", help='In quotes, such as "y ~ x + (x | site)"; more below.'),
]
Config = Annotated[
    Path | None,
    typer.Option(
        callback=use_config, is_eager=True, help="A TOML file with any of these settings."
    ),
]
Encoding = Annotated[str, typer.Option(help="Of the file, such as latin-1.")]
Separator = Annotated[
    str | None,
    typer.Option(
        help="Between columns, such as ';', tab or space; a comma, in .tsv a tab, if not given."
    ),
]
Decimal = Annotated[str, typer.Option(help="The mark in decimal numbers: '.' or ','.")]
Thousands = Annotated[
    str | None, typer.Option(help="The mark between thousands, such as ',', '.' or ' '.")
]
NA = Annotated[
    list[str] | None,
    typer.Option(
        help="A text that means missing, instead of NA, NaN, None, null, N/A …; repeatable; "
        "'' for empty cells alone."
    ),
]
Sheet = Annotated[
    str | None, typer.Option(help="Of an Excel workbook, where several have something in them.")
]
FamilyName = Annotated[
    str, typer.Option(help="gaussian, beta, binomial, poisson, negbinomial, zi_poisson, …")
]
Link = Annotated[
    str | None, typer.Option(help="Such as probit; the family's usual one if not given.")
]
Dispersion = Annotated[
    str | None, typer.Option(help='The formula of sigma, alpha or phi, such as "~ x".')
]
ZI = Annotated[
    str | None, typer.Option(help='The formula of the probability of zeros, such as "~ x".')
]
PriorTexts = Annotated[
    list[str] | None,
    typer.Option(help='Such as "x=Normal(mu=0, sigma=1)", on the scale of the data; repeatable.'),
]
Weights = Annotated[
    str | None, typer.Option(help="A column of frequencies: a row counts so many times.")
]
SE = Annotated[
    str | None, typer.Option(help="A column of known standard errors, instead of sigma.")
]
Draws = Annotated[int, typer.Option(help="Draws that each chain keeps.")]
Tune = Annotated[
    int | None, typer.Option(help="Tuning steps before them; the engine's own if not given.")
]
Chains = Annotated[int, typer.Option(help="Independent chains; compared by R-hat.")]
Cores = Annotated[
    int | None, typer.Option(help="Chains that run at the same time; all cores if not given.")
]
Seed = Annotated[
    int | None, typer.Option(help="The same number gives the same draws on one machine.")
]
TargetAccept = Annotated[
    float | None, typer.Option(help="Nearer to 1: smaller steps, fewer divergences, slower.")
]
Engine = Annotated[str, typer.Option(help="auto, collapsed, noncentred or pymc.")]
Missing = Annotated[str, typer.Option(help="Rows with missing values: drop (and say so) or error.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Print the results alone: no progress, no notes.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What every command that fits takes: a field is an option. Made by `with_options`."""

    encoding: Encoding = "utf-8"
    separator: Separator = None
    decimal: Decimal = "."
    thousands: Thousands = None
    na: NA = None
    sheet: Sheet = None
    family: FamilyName = "gaussian"
    link: Link = None
    dispersion: Dispersion = None
    zi: ZI = None
    prior: PriorTexts = None
    weights: Weights = None
    se: SE = None
    draws: Draws = 1000
    tune: Tune = None
    chains: Chains = 4
    cores: Cores = None
    seed: Seed = None
    target_accept: TargetAccept = None
    engine: Engine = "auto"
    missing: Missing = "drop"
    quiet: Quiet = False

    @property
    def of_file(self) -> dict[str, Any]:
        """The arguments of `read_table`."""
        names = ("encoding", "separator", "decimal", "thousands", "na", "sheet")
        return {name: getattr(self, name) for name in names}

    def roles(self, formulas: Iterable[str]) -> Roles:
        """What the columns of these formulas, and of the further options, are used as."""
        from hiermodels.formula import parse, parse_predictor
        from hiermodels.roles import find_roles

        own = [parse_predictor(text) for text in (self.dispersion, self.zi) if text is not None]
        columns = [name for name in (self.weights, self.se) if name is not None]
        return find_roles([*map(parse, formulas), *own], numbers=columns)

    def read(self, data: Path, formulas: Iterable[str]) -> pd.DataFrame:
        """The table, as these formulas need it."""
        from hiermodels.command.reading import read_table

        return read_table(data, roles=self.roles(formulas), **self.of_file)

    @property
    def priors(self) -> dict[str, Prior]:
        from hiermodels.command.settings import parse_priors

        return parse_priors(self.prior or ())

    @property
    def of_model(self) -> dict[str, Any]:
        """The arguments of `Model` but the priors."""
        names = ("family", "link", "dispersion", "zi", "weights", "se", "missing")
        return {name: getattr(self, name) for name in names}

    @property
    def of_sampler(self) -> dict[str, Any]:
        """The arguments of `Model.fit`."""
        names = ("draws", "tune", "chains", "cores", "target_accept", "engine")
        given = {name: getattr(self, name) for name in names}
        return given | {"random_seed": self.seed, "progressbar": not self.quiet}


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each field of `Options` instead of its ``options``."""
    hints = get_type_hints(Options, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(f.name, keyword, default=f.default, annotation=hints[f.name])
        for f in fields(Options)
    ]

    @wraps(command)
    def run(**given: Any) -> None:
        chosen = Options(**{option.name: given.pop(option.name) for option in options})
        command(options=chosen, **given)

    own = inspect.signature(command, eval_str=True)
    kept = [p for p in own.parameters.values() if p.name != "options"]
    signature = own.replace(parameters=[*kept, *options])
    # typer reads both
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return run


#: The settings of a model and of its sampler, and what kind of value each has in a file.
MODEL = {
    **{"data": "path", "encoding": "text", "separator": "text", "decimal": "text"},
    **{"thousands": "text", "na": "texts", "sheet": "text"},
    **{"family": "text", "link": "text", "zi": "text"},
    **{"dispersion": "text", "priors": "texts", "weights": "text", "se": "text", "missing": "text"},
    **{"draws": "whole", "tune": "whole", "chains": "whole", "cores": "whole", "seed": "whole"},
    **{"target_accept": "number", "engine": "text", "quiet": "truth", "out": "path"},
}
SETTINGS = {
    "fit": {**MODEL, "formula": "text"},
    "compare": {**MODEL, "formulas": "texts", "by": "text", "group": "text"},
    "pooling": {**MODEL, "formula": "text", "group": "text"},
}


@app.command(
    help="Fit a model to a table in a file and report on it.\n\n"
    "The formula says what the response depends on; in bars stands what differs between the "
    "levels of a grouping factor.",
    epilog="\n\n".join([FORMULAS, FIT_EXAMPLES, CONFIG, EXIT_CODES]),
    no_args_is_help=True,
)
@with_options
def fit(
    data: Data,
    formula: Formula,
    *,
    config: Config = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A folder for report.html, the saved fit, tables as CSV, pictures, posterior.nc."
        ),
    ] = None,
    options: Options,
) -> None:
    with clean_errors():
        from hiermodels.fitting import Model

        table = options.read(data, [formula])
        model = Model(formula, table, priors=options.priors, **options.of_model)
        folder = None if out is None else prepare_folder(out)
        found = sample(model, options)
        tell_results(found, folder, data_file=data, options=options)
        end_if_interrupted(found)


@app.command(
    help="Fit several formulas to the same rows, and say which predicts best.\n\n"
    "Each is scored by what it says of a row, or of a whole level, that was left out.",
    epilog="\n\n".join([COMPARE_EXAMPLES, CONFIG, EXIT_CODES]),
    no_args_is_help=True,
)
@with_options
def compare(
    data: Data,
    formulas: Annotated[
        list[str],
        typer.Argument(
            metavar="FORMULA...", help='Two or more, in quotes; "name: formula" gives a name.'
        ),
    ],
    *,
    config: Config = None,
    by: Annotated[str, typer.Option(help="loo: leave a row out; logo: leave a level out.")] = "loo",
    group: Annotated[
        str | None, typer.Option(help="The grouping factor of logo, where there are several.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for comparison.csv, .md and the saved fits.")
    ] = None,
    options: Options,
) -> None:
    with clean_errors():
        from hiermodels.command.outputs import file_names, write_table
        from hiermodels.fitting import Model
        from hiermodels.workflows.pooling import compare as compare_fits

        chosen = named(formulas)
        table = options.read(data, chosen.values())
        models = {name: Model(text, table, **options.of_model) for name, text in chosen.items()}
        models = with_priors(on_common_rows(models, table, options), options.priors)
        folder = None if out is None else prepare_folder(out)
        fits: dict[str, Fit] = {}
        files: list[Path] = []
        saved = file_names(tuple(models))
        for name, model in models.items():
            fits[name] = sample(model, options)
            if folder is not None:
                files.append(save_first(fits[name], folder, f"{saved[name]}.hm"))
            if is_interrupted(fits[name]):
                break
        if len(fits) > 1:
            found = compare_fits(fits, by=by, group=group)
            typer.echo("\n" + found.text())
            files = (write_table(found, folder, "comparison") if folder else []) + files
        if folder is not None:
            tell_written(files, quiet=options.quiet)
        end_if_interrupted(*fits.values())


def on_common_rows(
    models: dict[str, Model], table: pd.DataFrame, options: Options
) -> dict[str, Model]:
    """The models of the rows that are complete for all of them, for only these can be compared."""
    from hiermodels.fitting import Model

    rows = [model.design.rows.frame.index for model in models.values()]
    common = reduce(lambda a, b: a.intersection(b, sort=False), rows)
    if all(len(index) == len(common) for index in rows):
        return models
    which = f"the {counted(len(common), 'row')} that are complete for all formulas"
    typer.echo(f"Compared on {which}.", err=True)
    of_model = options.of_model
    return {
        name: Model(str(model.formula), table.loc[common], **of_model)
        for name, model in models.items()
    }


def with_priors(models: dict[str, Model], given: Mapping[str, Prior]) -> dict[str, Model]:
    """The models with those of the priors that each has a parameter for; each prior is of one."""
    from hiermodels.fitting import Model
    from hiermodels.priors import build_priors

    chosen: dict[str, dict[str, Prior]] = {name: {} for name in models}
    for parameter, prior in given.items():
        refused = []
        for name, model in models.items():
            try:
                build_priors(model.design, {parameter: prior})
                chosen[name][parameter] = prior
            except PriorError as error:
                refused.append(error)
        if len(refused) == len(models):
            raise refused[-1]
    return {
        name: Model.of(model.design, build_priors(model.design, chosen[name]))
        for name, model in models.items()
    }


def named(formulas: list[str]) -> dict[str, str]:
    """The formulas by name: what stands before a colon left of the response, or their text."""
    found: dict[str, str] = {}
    for text in formulas:
        left, _, right = text.partition("~")
        name, colon, response = left.partition(":")
        key = name.strip() if colon else " ".join(text.split())
        if key in found:
            raise SettingsError(f"two of the formulas are called {key!r}")
        found[key] = f"{response}~{right}".strip() if colon else text
    if len(found) < 2:
        raise SettingsError(
            "a comparison takes at least two formulas, each in quotes: "
            '"y ~ x + (1 | site)" "y ~ x + (x | site)"'
        )
    return found


@app.command(
    help="Fit a formula with complete, no and partial pooling, and set the three side by side.\n\n"
    "It answers why not to use the group as a fixed effect, with the numbers of your data.",
    epilog="\n\n".join([POOLING_EXAMPLES, CONFIG, EXIT_CODES]),
    no_args_is_help=True,
)
@with_options
def pooling(
    data: Data,
    formula: Formula,
    *,
    config: Config = None,
    group: Annotated[
        str | None, typer.Option(help="The grouping factor, where there are several.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for pooling.csv, scores.csv, pooling.md and .png.")
    ] = None,
    options: Options,
) -> None:
    with clean_errors():
        from hiermodels.workflows.pooling import pooling as pool

        table = options.read(data, [formula])
        folder = None if out is None else prepare_folder(out)
        found = pool(
            formula,
            table,
            group,
            priors=options.priors,
            **options.of_model,
            **options.of_sampler,
        )
        typer.echo("\n" + found.text())
        if folder is not None:
            from hiermodels.command.outputs import write_pooling

            without_windows()
            tell_written(write_pooling(found, folder), quiet=options.quiet)
        end_if_interrupted(*found.fits.values())


@app.command(
    help="Write the report of a saved fit: HTML, Markdown or LaTeX.",
    epilog="\n\n".join([REPORT_EXAMPLES, EXIT_CODES]),
    no_args_is_help=True,
)
def report(
    saved: Annotated[
        Path, typer.Argument(metavar="SAVED", help="What fit.save(path) or --out wrote: fit.hm.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Ends in .html, .md or .tex; beside the saved fit if not given."),
    ] = None,
    rows: Annotated[
        str, typer.Option(help="What the rows are called, in the plural, such as patients.")
    ] = "rows",
    ci_prob: Annotated[float, typer.Option(help="The probability of the intervals.")] = 0.95,
) -> None:
    with clean_errors():
        from hiermodels.results import load

        if not 0 < ci_prob < 1:
            raise SettingsError(f"--ci-prob {ci_prob:g}: a probability between 0 and 1, as 0.9")
        found = load(saved)
        without_windows()
        target = saved.with_suffix(".html") if out is None else out
        prepare_folder(target.parent)
        typer.echo(str(found.report(target, rows=rows, ci_prob=ci_prob)))


@app.command(epilog="\\b\nExample:\n  hiermodels demo --out report\n")
def demo(
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("report"),
) -> None:
    """Fit y ~ x + (x | site) to the shipped data of 16 sites, and report on it."""
    with clean_errors():
        from hiermodels.datasets import load_dataset
        from hiermodels.fitting import Model

        data = load_dataset(DEMO_DATA)
        folder = prepare_folder(out)
        copy = folder / f"{DEMO_DATA}.csv"
        data.to_csv(copy, index=False)
        typer.echo(
            f"{len(data)} rows of y and x in {data['site'].nunique()} sites, "
            f"simulated; a copy is {copy}.\n"
        )
        options = Options(seed=DEMO_SEED)
        found = sample(Model(DEMO_FORMULA, data), options)
        tell_results(found, folder, data_file=copy, options=options)
        end_if_interrupted(found)
        typer.echo(same_again(copy, folder))


def same_again(copy: Path, folder: Path) -> str:
    """How to do what `demo` did, on the command line and in Python."""
    return f"""
The same on the command line; put your own file and formula in:
    hiermodels fit {quoted(copy)} "{DEMO_FORMULA}" --seed {DEMO_SEED} --out {quoted(folder)}

The same in Python:
    import hiermodels as hm
    data = hm.load_dataset("{DEMO_DATA}")
    fit = hm.fit("{DEMO_FORMULA}", data, random_seed={DEMO_SEED})
    fit.summary()
    fit.variance_table()
    fit.plot.shrinkage("site")"""


def quoted(path: Path) -> str:
    """A path as a shell takes it."""
    text = path.as_posix()
    return f'"{text}"' if re.search(r"[^\w./:~-]", text) else text


@app.command(epilog='\\b\nIn Python:\n  data = hm.load_dataset("sites")\n')
def datasets() -> None:
    """List the data sets that hm.load_dataset(name) reads in Python."""
    from hiermodels.datasets import list_datasets

    found = list_datasets()
    width = max(len(name) for name in found["name"])
    for name, source, about in zip(found["name"], found["source"], found["about"], strict=True):
        typer.echo(f"{name:<{width}}  {source:<8}  {about}")
    typer.echo(f'\nIn Python: hm.load_dataset("{DEMO_DATA}")')


@contextmanager
def clean_errors() -> Iterator[None]:
    """What a user did wrong becomes a message and an exit code, a warning one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", HierModelsWarning)
            warnings.showwarning = warning_printer(warnings.showwarning)
            yield
    except InterruptedSamplingError as error:
        typer.echo(f"\nInterrupted{str(error).removeprefix('interrupted')}.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except HierModelsError as error:
        fail(f"{type(error).__name__}: {error}")
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        raise
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        fail(f"the system refused to read or write: {reason(error)}{where}")
    except KeyboardInterrupt:
        typer.echo("\nInterrupted.", err=True)
        raise typer.Exit(INTERRUPTED) from None


def warning_printer(otherwise: Any) -> Any:
    """hiermodels' own warnings as a sentence, the others as Python shows them."""

    def show(
        message: Any,
        category: Any,
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, HierModelsWarning):
            typer.echo(f"Warning: {message}", err=True)
        else:
            otherwise(message, category, filename, lineno, file, line)

    return show


def fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(USER_ERROR)


def prepare_folder(path: Path) -> Path:
    """The folder to write to, made and tried before anything is fitted."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        why = "it is a file" if path.is_file() else reason(error)
        fail(f"cannot write to the folder {str(path)!r}: {why}. Nothing was fitted; choose --out.")
    return path


def sample(model: Model, options: Options) -> Fit:
    """Say what takes the time, and fit."""
    if not options.quiet:
        typer.echo(f"{model.formula}: {counted(model.design.n, 'row')}.")
    return model.fit(**options.of_sampler)


def tell_results(found: Fit, folder: Path | None, *, data_file: Path, options: Options) -> None:
    """Save the fit first, then print, then write the rest."""
    from hiermodels.command.sources import is_standard_input

    attributes = found.idata["posterior"].attrs
    if not is_standard_input(data_file):
        attributes["data_file"] = data_file.as_posix()
    attributes["data_reading"] = json.dumps(options.of_file)
    files = [] if folder is None else [save_first(found, folder, SAVED)]
    shares = [found.variance_table(scale=scale).text() for scale in found.scales]
    typer.echo("\n" + "\n\n".join([found.summary().text(), *shares]))
    if folder is None:
        return
    from hiermodels.command import outputs

    without_windows()
    try:
        files.append(found.save_posterior(folder / "posterior.nc"))
        files += [*outputs.write_tables(found, folder), *outputs.write_pictures(found, folder)]
        files += [outputs.write_summary(found, folder), found.report(folder / REPORT)]
    except OSError as error:
        fail(f"{cannot_write(folder, error)} The fit is in {files[0]}; hm.load reads it.")
    tell_written(files, quiet=options.quiet)


def tell_written(files: list[Path], *, quiet: bool) -> None:
    if not quiet:
        typer.echo("\nWritten:\n" + "\n".join(f"    {path}" for path in files))


def without_windows() -> None:
    """Pictures are files here, on whatever screen."""
    import matplotlib as mpl

    mpl.use("Agg")


def is_interrupted(found: Fit) -> bool:
    return bool(found.idata["posterior"].attrs.get("interrupted"))


def end_if_interrupted(*fits: Fit) -> None:
    """After Ctrl-C the report is of what there is, and a script is told so."""
    if any(map(is_interrupted, fits)):
        typer.echo("\nInterrupted: these are results of fewer draws than asked for.", err=True)
        raise typer.Exit(INTERRUPTED)


def save_first(found: Fit, folder: Path, name: str) -> Path:
    """The fit in the folder, before anything else can fail, or in another: it is not lost."""
    try:
        return found.save(folder / name)
    except OSError as error:
        fail(f"{cannot_write(folder, error)} {rescued(found, name)}")


def rescued(found: Fit, name: str) -> str:
    """Where the fit is after all; where no folder takes it, its results, which took the time."""
    for place in (Path(tempfile.gettempdir()), Path.cwd(), Path("~").expanduser()):
        try:
            kept = found.save(Path(tempfile.mkdtemp(prefix="hiermodels-", dir=place)) / name)
        except OSError:
            continue
        return f"The fit is in {kept}; hm.load reads it."
    typer.echo("\n" + found.summary().text())
    return "Nor can any other folder be written: of the draws only the summary above is left."


def cannot_write(folder: Path, error: OSError) -> str:
    if isinstance(error, FileError):
        return f"cannot write {error.path!r}: {error.why}."
    if error.filename:
        return f"cannot write {str(error.filename)!r}: {reason(error)}."
    return f"cannot write to the folder {str(folder)!r}: {reason(error)}."
