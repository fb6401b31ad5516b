"""Published tables, made again by one command: which there are, what there is to do for one, and doing it.

`tables` and `plan` import no torch; `execute` does the work.
"""
