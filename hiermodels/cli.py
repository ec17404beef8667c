"""The command line: a CSV and a formula to a posterior, tables and pictures in a folder.

    hiermodels fit data/sites.csv "y ~ x + (x | site)" --out report/

What a user did wrong is one message on stderr and exit code 2, never a traceback. Nothing heavy is
imported before it is needed, so that ``--help`` answers at once.
"""

from __future__ import annotations

import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from hiermodels.errors import HierModelsError, HierModelsWarning

if TYPE_CHECKING:
    from hiermodels.fitting import Model
    from hiermodels.results import Fit

__all__ = ["app", "main"]

USER_ERROR = 2
INTERRUPTED = 130

DEMO_DATA = "sites"
DEMO_FORMULA = "y ~ x + (x | site)"
DEMO_SEED = 1

#: The ``\\b`` keeps the lines of a paragraph as they are.
EXAMPLES = """\
\b
Formulas:
  "y ~ x + (1 | site)"             an intercept for each site
  "y ~ x + (x | site)"             also a slope for each, correlated with it
  "y ~ x + (x || site)"            the same, not correlated
  "y ~ x + (1 | pop/patch)"        patches nested in populations
  "y ~ 1 + (1 | plate) + (1 | sample)"   two crossed factors
  "y ~ x*w + (x | site)"           an interaction with a predictor of the site
  "dead / total ~ x + (1 | site)" --family binomial            successes of trials
  "n ~ x + offset(log(area)) + (1 | site)" --family poisson    counts per area
"""

app = typer.Typer(
    name="hiermodels",
    help="Bayesian hierarchical models: from a CSV and a formula to a posterior, a variance "
    "report, group estimates and pictures.",
    epilog='Start with "hiermodels demo", then "hiermodels fit --help".',
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


@app.command(
    help="Fit a model to a CSV file and report on it.\n\n"
    "The formula says what the response depends on; in bars stands what differs between the "
    "levels of a grouping factor.",
    epilog=EXAMPLES,
    no_args_is_help=True,
)
def fit(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="A CSV file with a header line; .tsv is read with tabs."
        ),
    ],
    formula: Annotated[
        str,
        typer.Argument(
            metavar="FORMULA", help='In quotes, such as "y ~ x + (x | site)"; more below.'
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for summary.md, tables as CSV, pictures and posterior.nc."),
    ] = None,
    encoding: Annotated[str, typer.Option(help="Of the file, such as latin-1.")] = "utf-8",
    family: Annotated[
        str, typer.Option(help="gaussian, beta, binomial, poisson, negbinomial, zi_poisson, …")
    ] = "gaussian",
    link: Annotated[
        str | None, typer.Option(help="Such as probit; the family's usual one if not given.")
    ] = None,
    dispersion: Annotated[
        str | None, typer.Option(help='The formula of sigma, alpha or phi, such as "~ x".')
    ] = None,
    zi: Annotated[
        str | None, typer.Option(help='The formula of the probability of zeros, such as "~ x".')
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="A column of frequencies: a row counts so many times.")
    ] = None,
    se: Annotated[
        str | None, typer.Option(help="A column of known standard errors, instead of sigma.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws that each chain keeps.")] = 1000,
    tune: Annotated[
        int | None, typer.Option(help="Tuning steps before them; the engine's own if not given.")
    ] = None,
    chains: Annotated[int, typer.Option(help="Independent chains; compared by R-hat.")] = 4,
    cores: Annotated[
        int | None, typer.Option(help="Chains that run at the same time; all cores if not given.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same number gives the same draws on one machine.")
    ] = None,
    target_accept: Annotated[
        float | None, typer.Option(help="Nearer to 1: smaller steps, fewer divergences, slower.")
    ] = None,
    engine: Annotated[str, typer.Option(help="auto, collapsed, noncentred or pymc.")] = "auto",
    missing: Annotated[
        str, typer.Option(help="Rows with missing values: drop (and say so) or error.")
    ] = "drop",
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print the results alone: no progress, no notes.")
    ] = False,
) -> None:
    with clean_errors():
        from hiermodels.fitting import Model
        from hiermodels.reading import read_table

        model = Model(
            formula,
            read_table(data, encoding=encoding),
            family=family,
            link=link,
            dispersion=dispersion,
            zi=zi,
            weights=weights,
            se=se,
            missing=missing,
        )
        folder = None if out is None else prepare_folder(out)
        found = sample(
            model,
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            seed=seed,
            target_accept=target_accept,
            engine=engine,
            quiet=quiet,
        )
        report(found, folder, quiet=quiet)


@app.command()
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
        found = sample(Model(DEMO_FORMULA, data), seed=DEMO_SEED)
        report(found, folder)
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


@app.command()
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


def reason(error: OSError) -> str:
    return error.strerror or str(error)


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


def sample(
    model: Model,
    *,
    seed: int | None,
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    target_accept: float | None = None,
    engine: str = "auto",
    quiet: bool = False,
) -> Fit:
    """Say what takes the time, and fit."""
    if not quiet:
        typer.echo(f"{model.formula}: {model.design.n} rows.")
    return model.fit(
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        random_seed=seed,
        target_accept=target_accept,
        engine=engine,
        progressbar=not quiet,
    )


def report(found: Fit, folder: Path | None, *, quiet: bool = False) -> None:
    """Save the posterior first, then print, then write the rest."""
    posterior = None if folder is None else save_posterior(found, folder)
    shares = [found.variance_table(scale=scale).text() for scale in found.scales]
    typer.echo("\n" + "\n\n".join([found.summary().text(), *shares]))
    if folder is None or posterior is None:
        return
    files = [posterior, *write_tables(found, folder), *write_pictures(found, folder)]
    files.append(write_summary(found, folder))
    if not quiet:
        typer.echo("\nWritten:\n" + "\n".join(f"    {path}" for path in files))


def save_posterior(found: Fit, folder: Path) -> Path:
    """``posterior.nc`` in the folder, or in a temporary one if that fails: a fit is not lost."""
    try:
        return found.save_posterior(folder / "posterior.nc")
    except OSError as error:
        rescue = found.save_posterior(Path(tempfile.mkdtemp(prefix="hiermodels-")) / "posterior.nc")
        fail(
            f"cannot write {str(folder / 'posterior.nc')!r}: {reason(error)}. "
            f"The posterior is in {rescue}."
        )


def write_tables(found: Fit, folder: Path) -> list[Path]:
    """Every table as CSV, unrounded."""
    tables = {
        "fixef": found.fixef(),
        "varcorr": found.varcorr(),
    }
    for scale in found.scales:
        end = f"_{scale}" if scale else ""
        tables[f"variance_table{end}"] = found.variance_table(scale=scale)
        if found.design.blocks:
            tables[f"icc{end}"] = found.icc(scale=scale)
    if found.design.blocks:
        tables |= {"ranef": found.ranef(), "coef": found.coef()}
    for group, name in file_names(found.design.factors).items():
        tables[f"shrinkage_{name}"] = found.shrinkage(group)
    paths = []
    for name, table in tables.items():
        paths.append(folder / f"{name}.csv")
        table.to_csv(paths[-1], index=False)
    return paths


def write_pictures(found: Fit, folder: Path) -> list[Path]:
    """A forest and a shrinkage plot of each grouping factor."""
    if not found.design.blocks:
        return []
    import matplotlib as mpl

    mpl.use("Agg")  # files, no windows
    from hiermodels.plots import save_figure

    paths = []
    for group, name in file_names(found.design.factors).items():
        for kind, draw in (("forest", found.plot.forest), ("shrinkage", found.plot.shrinkage)):
            paths.append(save_figure(draw(group), folder / f"{kind}_{name}.png"))
    return paths


def write_summary(found: Fit, folder: Path) -> Path:
    """``summary.md``: the summary, the variance table, the ICC and links to the pictures."""
    parts = [found.summary().markdown()]
    for scale in found.scales:
        parts.append(found.variance_table(scale=scale).markdown())
        if found.design.blocks:
            parts.append(found.icc(scale=scale).markdown())
    for group, name in file_names(found.design.factors).items():
        parts.append(f"![Coefficients of each {group}](forest_{name}.png)")
        parts.append(f"![Shrinkage of {group}](shrinkage_{name}.png)")
    path = folder / "summary.md"
    path.write_text("\n\n".join(part.strip("\n") for part in parts) + "\n", encoding="utf-8")
    return path


def file_names(groups: tuple[str, ...]) -> dict[str, str]:
    """A file name for each factor: ``pop:patch`` is ``pop_patch``, numbered where two are equal."""
    names: dict[str, str] = {}
    for group in groups:
        safe = re.sub(r"\W+", "_", group).strip("_") or "group"
        # compared without case, as some file systems do
        taken = {name.lower() for name in names.values()}
        free, number = safe, 2
        while free.lower() in taken:
            free, number = f"{safe}_{number}", number + 1
        names[group] = free
    return names
