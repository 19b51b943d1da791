"""Charts: the data of `create chart`, and chart files. The terminal chart is in render.charts.

    query  ChartBuilder: reads the points of a chart from the rows of a query
    vega   the chart as Vega-Lite; saves it as SVG, PNG or HTML with optional packages

Start with query.ChartBuilder.build.
May import: interpreter.files, adapter_access, state, connections, variables, results, freshness and
system_columns; adapters, lake, queue, status, language, config, engine, fs and the top-level modules; not
convert or load.
"""
