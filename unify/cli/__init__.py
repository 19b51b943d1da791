"""Command line: the `unify` command, its arguments and subcommands, and the wiring of the parts.

    main              main(): the entry point; `unify --version` without further imports
    args              parses the arguments to an Invocation
    trust             unify trust, and the question before a new connections.yaml is used
    usage             the texts of `--help`
    bootstrap         runs the task of an Invocation: creates session, output and prompt
    environment       Settings from arguments, environment variables and defaults
    check             `unify check` and `unify spec check`
    check_loads       `unify check --loads`
    spec_commands     `unify spec try` and `unify spec test`
    daemon_commands   `unify daemon run|start|stop|status`
    serve_commands    `unify serve`, `unify mcp` and `unify user`
    home_commands     `unify lake check`, `unify backup` and `unify restore`
    demo              `unify demo`: the shell on the sample API, in a temporary home folder
    shell_completion  `unify completion`: completion scripts for bash, zsh and fish

Start with bootstrap.run_command.
May import: every other package; demo runs as a process of its own.
"""
