"""Jobs: reports and exports that an API makes on request, and whose result is downloaded.

    table_job   TableJob: creates a job, polls until it is done, and reads values of its responses
    job_reader  JobScopeReader: reads the result as the pages of one scope

Start with job_reader.JobScopeReader.
May import: what adapters.rest may import.
"""
