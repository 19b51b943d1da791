"""``unify completion bash|zsh|fish``: scripts that complete the command line of ``unify``."""

from __future__ import annotations

from unify.cli.args import CommandLineOption, known_options
from unify.cli.usage import COMMANDS

_FOLDER_VALUES = ("DIR",)
_BASH_TEMPLATE = """\
# source <(unify completion bash)
_unify() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    case $before in
{values}
    esac
    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "{options}" -- "$word"))
        return
    fi
    if [[ $COMP_CWORD == 1 ]]; then
        COMPREPLY=($(compgen -W "{first}" -- "$word"))
        return
    fi
    case $before in
{commands}
        *) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
}}
complete -o filenames -F _unify unify
"""
_ZSH_TEMPLATE = """\
#compdef unify
# unify completion zsh > a folder of $fpath, as _unify
_unify() {{
    local curcontext=$curcontext state
    _arguments -C -s \\
{options}
        '1: :({first})' \\
        '*:: :->rest' && return
    (( CURRENT == 2 )) && case $words[1] in
{commands}
    esac
    _files
}}
compdef _unify unify
"""


def completion_script(shell: str) -> str:
    """Return the script for bash, zsh or fish."""
    match shell:
        case "bash":
            return _bash_script()
        case "zsh":
            return _zsh_script()
        case _:
            return _fish_script()


def _bash_script() -> str:
    options = known_options()
    values = [
        _bash_case("|".join(option.names), _bash_values(option)) for option in options if option.value_name
    ]
    commands = [
        _bash_case(command, f'-W "{" ".join(actions)}"') for command, actions in COMMANDS.items() if actions
    ]
    return _BASH_TEMPLATE.format(
        values="\n".join(values),
        options=" ".join(name for option in options for name in option.names),
        commands="\n".join(commands),
        first=" ".join(COMMANDS),
    )


def _bash_case(pattern: str, completions: str) -> str:
    return f'        {pattern}) COMPREPLY=($(compgen {completions} -- "$word")); return ;;'


def _bash_values(option: CommandLineOption) -> str:
    if option.choices:
        return f'-W "{" ".join(option.choices)}"'
    if option.value_name in _FOLDER_VALUES:
        return "-d"
    return "-f" if option.value_name == "FILE" else '-W ""'


def _zsh_script() -> str:
    options = [
        f"        '{name}[{_strip_shell_syntax(option.help)}]{_zsh_value(option)}' \\"
        for option in known_options()
        for name in option.names
    ]
    commands = [
        f"        {command}) compadd {' '.join(actions)}; return ;;"
        for command, actions in COMMANDS.items()
        if actions
    ]
    return _ZSH_TEMPLATE.format(
        first=" ".join(COMMANDS), options="\n".join(options), commands="\n".join(commands)
    )


def _zsh_value(option: CommandLineOption) -> str:
    if not option.value_name:
        return ""
    if option.choices:
        return f":value:({' '.join(option.choices)})"
    if option.value_name in _FOLDER_VALUES:
        return ":folder:_files -/"
    return ":file:_files" if option.value_name == "FILE" else ":value:"


def _fish_script() -> str:
    lines = [
        "# unify completion fish | source",
        f"complete -c unify -f -n __fish_use_subcommand -a '{' '.join(COMMANDS)}'",
    ]
    for command, actions in COMMANDS.items():
        if actions:
            seen, words = "__fish_seen_subcommand_from", " ".join(actions)
            lines.append(f"complete -c unify -f -n '{seen} {command}; and not {seen} {words}' -a '{words}'")
    for option in known_options():
        words = " ".join(
            f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
        )
        lines.append(
            f"complete -c unify {words}{_fish_value(option)} -d '{_strip_shell_syntax(option.help)}'"
        )
    return "\n".join(lines) + "\n"


def _fish_value(option: CommandLineOption) -> str:
    if not option.value_name:
        return ""
    if option.choices:
        return f" -x -a '{' '.join(option.choices)}'"
    return " -r" if option.value_name in ("FILE", *_FOLDER_VALUES) else " -x"


def _strip_shell_syntax(help: str) -> str:
    """Remove quotes and brackets, which the shells would interpret."""
    return help.replace("'", "").replace("[", "(").replace("]", ")").replace(":", ",")
