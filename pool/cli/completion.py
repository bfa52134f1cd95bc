"""`cupool completion`: the script that makes a shell complete commands, options and live ids."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .exits import Exit

SHELLS = ("bash", "zsh", "fish")
#: Click's own script breaks words at ":", as bash does, and ids of devices have one. This one breaks the line at spaces, and
#: gives back what comes after the last ":".
_BASH = """\
_cupool_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" response completion type value prefix=""
    local -a words
    read -ra words <<< "$line"
    case "$line" in *[[:space:]]) words+=("") ;; esac
    local current="${words[-1]}" IFS=$'\\n'
    case "$current" in *:*) [[ $COMP_WORDBREAKS == *:* ]] && prefix="${current%"${current##*:}"}" ;; esac
    response=$(env COMP_WORDS="$line" COMP_CWORD=$(( ${#words[@]} - 1 )) _CUPOOL_COMPLETE=bash_complete "$1")
    COMPREPLY=()
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        case "$type" in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$prefix"}") ;;
        esac
    done
}
complete -o nosort -F _cupool_completion cupool
"""
VARIABLE = "_CUPOOL_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the completion script of a shell.

    \b
    bash   eval "$(cupool completion bash)"                            in ~/.bashrc
    zsh    eval "$(cupool completion zsh)"                             in ~/.zshrc
    fish   cupool completion fish > ~/.config/fish/completions/cupool.fish
    """
    if shell == "bash":
        click.echo(_BASH, nl=False)
        return Exit.OK
    found = get_completion_class(shell)
    assert found is not None  # click has all three
    click.echo(found(context.find_root().command, {}, "cupool", VARIABLE).source())
    return Exit.OK
