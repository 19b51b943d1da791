"""Statements of clients: run in threads on restricted sessions, bounded, cancelled, recorded.

    service       StatementService: accepts statements, runs them in threads, keeps their results
    statement     ClientStatement: one statement, its state and its result
    sessions      SessionPool: the sessions of the interpreter that statements use in turn
    chunks        ChunkPipe: the bytes of a result, from the thread that makes them to the client
    recorder      StatementRecorder: the log of statements, and errors for clients
    formats       the media types of results
    limits        StatementLimits: what one statement may use

Start with service.StatementService.submit.
"""
