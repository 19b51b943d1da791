"""The command line, the prompt and what people see."""
