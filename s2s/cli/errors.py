"""Convert exceptions to a message, a hint and an exit code."""

import errno
import os

import typer

from s2s.devices.memory import is_out_of_memory
from s2s.errors import LostProcessError, ResourceError, S2SError, UsageError, did_you_mean, is_lost_process

BUSY_OR_FULL = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
}


def as_s2s_error(error: Exception) -> S2SError:
    """Convert any exception that a command let through to the error to show."""
    if isinstance(error, S2SError):
        return error
    if isinstance(error, typer.TyperException):
        return _usage(error)
    if isinstance(error, OSError) and error.errno in BUSY_OR_FULL:
        return _resource(error)
    if "TORCHELASTIC_RUN_ID" in os.environ and is_lost_process(error):
        return LostProcessError()
    if is_out_of_memory(error):
        return ResourceError(
            "out of memory",
            "make batches smaller (training.batch_tokens, decoding.batch_tokens), "
            "keep fewer hypotheses (--beam-size, --nbest), or free memory",
        )
    return S2SError(f"{type(error).__name__}: {error}".removesuffix(": "), "run again with --debug for a traceback")


def _usage(error: typer.TyperException) -> UsageError:
    """Convert a command line that typer refuses."""
    message = " ".join(error.format_message().split()).removesuffix(".")
    context = getattr(error, "ctx", None)
    hint = f"see {context.command_path if context else 's2s'} --help"
    wrong = getattr(error, "option_name", None)
    commands = getattr(context.command, "commands", None) if context else None
    if commands and "ommand" in message:
        hint = f"one of {', '.join(commands)} ({hint})"
    if wrong and context:
        message = message.partition(" (Possible options")[0]
        known = [option for parameter in context.command.get_params(context) for option in parameter.opts]
        near = did_you_mean(wrong, [option for option in known if option.startswith("--")])
        hint = f"{near} ({hint})" if near else hint
    message = message.replace(": Input should", ": should").replace(": Value error, ", ": ")
    return UsageError(message[:1].lower() + message.partition(", unable to parse")[0][1:], hint)


def _resource(error: OSError) -> ResourceError:
    """Convert an operating-system error: no space, no permission, too many open files, no memory."""
    where = f"{error.filename}: " if error.filename else ""
    hint = None
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        hint = "free some space, or set S2S_HOME to a directory on another disk"
    elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        hint = "choose a place that you may write, or set S2S_HOME to one"
    return ResourceError(f"{where}{os.strerror(error.errno or 0).lower()}", hint)
