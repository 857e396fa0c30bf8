"""The command line `s2s COMMAND …`: commands are imported on use, and `main` handles all errors."""

import contextlib
import functools
import gc
import importlib
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn, cast

import typer
from typer.core import TyperCommand, TyperGroup

from s2s._version import __version__
from s2s.errors import DataError, LostProcessError, StoppedError, UsageError, did_you_mean

Command = TyperCommand | TyperGroup
MANY_OBJECTS = 50_000  # allocations between garbage collections; at Python's 700, commands start 3 to 5 % slower
SIGNALED = 128  # exit codes above it: 128 and the number of the signal that ended the command
PEER_SECONDS = 3.0  # wait after another process failed: torchrun reports the exit code of the first that ends

# Each command: its module, which holds a function of its name or a typer `app`, and its line in `s2s --help`.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("s2s.cli.commands.init", "Write a recipe for text files or a table of your own"),
    "recipes": ("s2s.cli.commands.recipes", "List, show and copy the built-in recipes"),
    "explain": ("s2s.cli.commands.explain", "Explain the keys of a recipe"),
    "doctor": ("s2s.cli.commands.doctor", "Check this machine: versions, devices, directories"),
    "tokenizer": ("s2s.cli.commands.tokenizer", "Train, inspect and compare tokenizers, encode text"),
    "data": ("s2s.cli.commands.data", "Prepare, inspect and generate sentence pairs"),
    "plan": ("s2s.cli.commands.plan", "Estimate a recipe's parameters, memory and FLOPs"),
    "train": ("s2s.cli.commands.train", "Train a model from a recipe and publish it in the registry"),
    "resume": ("s2s.cli.commands.resume", "Resume an interrupted run"),
    "runs": ("s2s.cli.commands.runs", "List, show, plot and remove runs"),
    "translate": ("s2s.cli.commands.translate", "Translate lines of text with a model"),
    "caption": ("s2s.cli.commands.caption", "Describe images with a model"),
    "score": ("s2s.cli.commands.score", "Score given translations (log-probability)"),
    "evaluate": ("s2s.cli.commands.evaluate", "Score a model, or the output of any system, on a test set"),
    "compare": ("s2s.cli.commands.compare", "Compare recipes and models on one test set"),
    "models": ("s2s.cli.commands.models", "List, show, alias, verify, export and remove models"),
    "serve": ("s2s.cli.commands.serve", "Keep models loaded for all users of a machine"),
    "bench": ("s2s.cli.commands.bench", "Measure how loss falls as models grow"),
}


class LazyGroup(TyperGroup):
    """Root command, which imports a subcommand only when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the command names in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Command | None:
        """Import and return a command; None if the name is unknown."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Resolve the command that `args` start with. Raises UsageError with the nearest names."""
        name = args[0]
        if not name.startswith("-") and name not in COMMANDS:
            raise UsageError(
                f"no such command: {name}", did_you_mean(name, list(COMMANDS)) or "s2s --help lists them all"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the table of commands as help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def load_command(name: str) -> Command:
    """Load the command `name`, with its examples at the end of its help."""
    from typer.main import get_command, get_group

    module = importlib.import_module(COMMANDS[name][0])
    app = getattr(module, "app", None)
    if app is None:
        alone = typer.Typer(add_completion=False)
        alone.command(name, cls=getattr(module, "COMMAND", TyperCommand))(getattr(module, name))
        command: Any = get_command(alone)
    else:
        command = get_group(app)
    command.name = name
    return with_examples(command)


def with_examples(command: Any) -> Command:
    """Move a docstring's examples below the options, one per line; a group shows the first example of each command.

    Plain help throughout: typer's rich help would reflow them into a paragraph.
    """
    command.rich_markup_mode = None
    command.no_args_is_help = False  # a short error is better than the whole help
    inner = [with_examples(one) for one in getattr(command, "commands", {}).values()]
    command.help, examples = split_examples(command.help or "")
    examples = examples or [line for one in inner for line in examples_of(one)[:1]]
    command.epilog = "\n".join(examples)
    command.format_epilog = functools.partial(_write_examples, examples)
    return cast(Command, command)


def split_examples(docstring: str) -> tuple[str, list[str]]:
    """Split a docstring into its text and the lines of its last section, `Examples:`."""
    text, _, examples = docstring.partition("Examples:\n")
    return text.strip(), [line.strip() for line in examples.splitlines() if line.strip()]


def examples_of(command: Command) -> list[str]:
    """Return the example command lines in a command's help."""
    return (command.epilog or "").splitlines()


def _write_examples(examples: list[str], _context: Any, formatter: Any) -> None:
    if examples:
        with formatter.section("Examples"):
            formatter.write_text("\b\n" + "\n".join(examples))  # click does not rewrap lines after \b


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"s2s {__version__}")
        raise typer.Exit


def _start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (or set S2S_DEBUG=1).")
    ] = False,
) -> None:
    """Train, compare and use sequence-to-sequence models.

    Examples:
        s2s compare numbers/bottleneck numbers/attention
        s2s init --source train.de --target train.en
        s2s translate numbers-attention input.de -o output.en
    """
    if context.invoked_subcommand is None:
        print(context.get_help())
        return
    from s2s.cli.console import show_log

    show_log()


def root() -> Command:
    """Build the root command."""
    from typer.main import get_command

    app = typer.Typer(
        cls=LazyGroup,
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_start)
    return with_examples(get_command(app))


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code.

    Typer's own `main` would turn a closed pipe into exit code 1, so its parts are called here.
    """
    gc.set_threshold(MANY_OBJECTS)
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given or os.environ.get("S2S_DEBUG", "0") not in {"", "0"}
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name that is not UTF-8 is shown, not a crash
    try:
        with terminable():
            code = _run([argument for argument in given if argument != "--debug"])
        _flush()
        return code
    except StoppedError as stopped:
        return _stopped(stopped)
    except (KeyboardInterrupt, typer.Abort):
        return _stopped(StoppedError(signal.SIGINT))
    except BrokenPipeError:
        _forget_output()
        return 141
    except Exception as error:
        return _failed(error, debug)


def run() -> NoReturn:
    """Run the command line of this process and end it.

    After a signal it ends at once: other threads may be computing in libraries that abort the process when the
    interpreter is taken away from under them.
    """
    code = main()
    if code > SIGNALED:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, OSError, ValueError):  # None or closed
                stream.flush()
        os._exit(code)
    sys.exit(code)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Raise StoppedError on SIGTERM and SIGHUP, so that files are closed and temporary ones removed."""

    def stop(number: int, _: object) -> None:
        raise StoppedError(number)

    answered = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in answered:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in answered:
            signal.signal(number, signal.SIG_DFL)


def _run(arguments: list[str]) -> int:
    command = root()
    cast(Any, command)._main_shell_completion({}, "s2s")
    try:
        with command.make_context("s2s", arguments) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    return 0


def _stopped(stopped: StoppedError) -> int:
    """Print the error that ended the command, and return the exit code."""
    if stopped.reported or not _is_first():
        return stopped.exit_code
    with contextlib.suppress(OSError):  # a terminal that was closed
        print(f"s2s: {stopped.message}", file=sys.stderr)
        if stopped.hint:
            print(f"hint: {stopped.hint}", file=sys.stderr)
    return stopped.exit_code


def _failed(error: Exception, debug: bool) -> int:
    """Print an error and return its exit code."""
    from s2s.cli.console import print_error
    from s2s.cli.errors import as_s2s_error

    shown = as_s2s_error(error)
    if not _is_first() and isinstance(shown, (UsageError, DataError)):
        return shown.exit_code  # the main process reports it
    if isinstance(shown, LostProcessError) and not _is_first_of_several_hosts():
        time.sleep(PEER_SECONDS)
        return shown.exit_code  # the process beside this one, or its launcher, says why
    try:
        if debug:
            traceback.print_exception(error)
        print_error(shown.message, shown.hint)
        _flush()
    except OSError:
        _forget_output()
    return shown.exit_code


def _is_first() -> bool:
    """Whether this process is the first, or the only one, of those that torchrun has started."""
    return os.environ.get("RANK", "0") == "0" or "TORCHELASTIC_RUN_ID" not in os.environ


def _is_first_of_several_hosts() -> bool:
    """Whether this process is the first on its host of those that torchrun has started on several."""
    own, all_hosts = (os.environ.get(name) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    return own != all_hosts and os.environ.get("LOCAL_RANK") == "0"


def _flush() -> None:
    if sys.stdout is not None:  # None if standard output was closed at the start
        sys.stdout.flush()


def _forget_output() -> None:
    """Discard buffered output, so that the interpreter does not fail to flush it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nowhere, stream.fileno())
        except (AttributeError, OSError, ValueError):
            continue
