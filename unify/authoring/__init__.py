"""Spec authoring: writes and tests specs.

    cases        recorded test cases: the requests, their responses, the expected rows
    case_runner  runs one case with the real adapter and lists the differences
    write_cases  sends the rows of a case with ``write`` as a worker does, and compares their outcomes
    mock_api     serves the responses of a case over HTTP on loopback; compares each request
    sample       fetches one page of a table and describes the structure of the response
    write_sample the requests that write rows to a table, built and not sent
    recorded_columns  the columns of tables before their first load, from the cases
    json_schema  JSON schema of the spec language for editors; reference tables of rest_specs/README.md
    docs         writes docs/adapters.md from the bundled specs

Start with case_runner.run_case and sample.fetch_sample; cli.spec_commands calls them.
json_schema, docs and recorded_columns are run with `python -m`.
May import: render, publish, sender, interpreter, load, convert, adapters, lake, queue, status, writes,
language, config, engine, fs and the top-level modules.
"""
