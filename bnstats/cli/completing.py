"""Completion: what may follow a half-typed word, and the scripts that ask for it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
)


def layers_and_sets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete a layer with its parameters, or a claim set."""
    return [*layers(ctx, param, incomplete), *_sets(incomplete)]


def layers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete a layer: its name, or that of a library, its parameters and their values."""
    if ":" in incomplete:
        return [f"{incomplete}{rest}" for rest in _parameters(*incomplete.split(":", 1))]
    from bnstats.layers import LAYERS

    names = [*LAYERS, *(_library_names() if re.search(r"[.A-Z]", incomplete) else ())]
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def sets_and_files(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem] | list[str]:
    """Complete the name of a claim set, or else of a file."""
    return _sets(incomplete) or [CompletionItem(incomplete, type="file")]


def _sets(incomplete: str) -> list[str]:
    from bnstats.claims import set_names

    return [name for name in set_names() if name.startswith(incomplete)]


def _library_names() -> list[str]:
    from bnstats.specs.libraries import LIBRARIES, last_names

    names = [last_names(library) for library in LIBRARIES]
    return [n for known in names for n in (*known, *known.values())]


def _parameters(name: str, typed: str) -> Iterator[str]:
    """Yield what may follow the parameters that are typed."""
    from bnstats.specs.names import resolve

    found = resolve(name)
    if found is None:
        return
    *before, last = typed.split(",")
    key, equals, value = last.partition("=")
    given = {pair.partition("=")[0] for pair in before}
    for parameter in found[0].parameters:
        if not equals and parameter.name.startswith(key) and parameter.name not in given:
            yield f"{parameter.name[len(key) :]}="
        elif equals and parameter.name == key:
            values = ("true", "false") if parameter.kind == "bool" else parameter.choices
            yield from (choice[len(value) :] for choice in values if choice.startswith(value))


class _Whole:
    """Offers whole words: click leaves the option out where --name=value is half typed."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        items = super().get_completions(args, incomplete)  # type: ignore[misc]
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("--"):
            for item in items:
                item.value = f"{option}={item.value}"
        return list(items)


class Bash(_Whole, BashComplete):
    """Completion for bash, which has split words at : and =; ours are those between blanks."""

    source_template = """\
%(complete_func)s() {
    local IFS=$' \\t\\n' words current kept response completion
    read -r -a words <<< "${COMP_LINE:0:COMP_POINT}"
    [[ "${COMP_LINE:0:COMP_POINT}" == *[[:blank:]] ]] && words+=("")
    current="${words[${#words[@]}-1]}"
    kept=""
    if [[ "$COMP_WORDBREAKS" == *:* && "$current" == *[:=]* ]]; then
        kept="${current%%"${current##*[:=]}"}"
    fi
    IFS=$'\\n'
    response=$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]}-1)) \\
        %(complete_var)s=bash_complete $1)
    COMPREPLY=()
    for completion in $response; do
        case "$completion" in
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
            plain,*)
                completion="${completion#plain,}"
                [[ "$completion" == *= ]] && compopt -o nospace
                COMPREPLY+=("${completion#"$kept"}") ;;
        esac
    done
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Zsh(_Whole, ZshComplete):
    """Completion for zsh, also where compinit has not run yet."""

    source_template = ZshComplete.source_template.replace(
        "    compdef %(complete_func)s",
        "    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }\n"
        "    compdef %(complete_func)s",
    )


class Fish(_Whole, FishComplete):
    """Completion for fish."""


SHELLS = {shell.name: add_completion_class(shell) for shell in (Bash, Zsh, Fish)}
