"""Shell: the interactive prompt and the script runner.

    repl              run_repl(): reads statements at the prompt and runs them
    script_runner     ScriptRunner: runs the statements of `-c`, `-f`, stdin and the prompt, shows the results
    invocation        Invocation: the command line as data
    startup           opens the session in the background, or when the first statement needs it
    editor            the editor of the prompt: keys, colours, completion (prompt_toolkit)
    plain_editor      the editor for terminals without cursor control (TERM=dumb)
    completer         completion at the cursor: commands, tables, columns, variables, SQL keywords
    completion_scope  tables and columns in the statement being typed; SQL functions; files
    highlight         colours for the text being typed
    history           the history file: private, without statements that contain a secret
    meta_commands     parses commands of psql and of DuckDB's shell, such as `.tables` and `.mode`
    meta_command_list  those that the prompt has, and what to use in place of the others
    output_commands   the meta commands about the output, such as `.mode` and `.maxrows`
    activity          the toolbar: running and ended loads, problems of connections

Start with repl.run_repl and script_runner.ScriptRunner.
May import: render, publish, interpreter, load, convert, adapters, lake, queue, status, language, config,
engine, fs and the top-level modules; not daemon or authoring.
"""
