"""`s2s serve`: keep models loaded for all users of a machine."""

from pathlib import Path
from typing import Annotated

import typer

from s2s.cli.console import show_log
from s2s.cli.options import Device, KeepAlive, Memory, Threads, Verbose, Wait


def serve(
    memory: Memory = None,
    keep_alive: KeepAlive = None,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="GROUP", help="Let the members of this group use the server, too."),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option("--http", metavar="ADDRESS:PORT", help="Also serve an HTTP API and a web page at this address."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="File with the token that HTTP requests must send; required unless ADDRESS is a loopback address.",
        ),
    ] = None,
    shadow: Annotated[
        list[str] | None,
        typer.Option(
            "--shadow",
            metavar="NAME@ALIAS=NAME:N",
            help="While the server is idle, also translate requests for NAME@ALIAS with this version and keep a "
            "comparison, which stores sentences of users (repeatable). s2s models shadow shows it.",
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    wait: Wait = 0.0,
    verbose: Verbose = False,
) -> None:
    """Keep models of the registry loaded, for s2s translate, caption and score on this machine.

    A model is loaded when it is first asked for. It is unloaded when nobody has used it for a while or, the least
    recently used first, to make room for another. Requests of all users are computed together. Ctrl-C or SIGTERM
    answers what was accepted, then ends; a second one ends at once.

    Examples:
        s2s serve
        s2s serve --memory 20GiB --keep-alive 2h --group staff
        s2s serve --http 127.0.0.1:8000
        s2s serve --shadow numbers-attention@production=numbers-attention:1
    """
    from s2s.serving.run import KEEP_ALIVE, ServeOptions, run_server

    show_log(verbose=verbose)
    run_server(
        ServeOptions(
            memory,
            KEEP_ALIVE if keep_alive is None else keep_alive,
            group,
            http,
            token_file,
            shadow or [],
            device,
            wait,
        )
    )
