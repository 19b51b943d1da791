"""Mail: a connection that sends results of statements over SMTP, and reads nothing.

    adapter  SmtpAdapter and MailWriter: options, checks, one mail per row of a write
    message  the mail as text: addresses, headers, body, attachment
    smtp     one SMTP session: which replies mean sent, refused, to be sent again, unknown

Start with adapter.MailWriter. interpreter.writing.mail_planner plans `export (SELECT) to mail 'a@b'`.
May import: base, spec, options, formats, and what adapters may.
"""
