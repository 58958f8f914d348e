"""What is done to runs and their files by the thousand: each part is called with a count.

A few of each stand in the suite; all of them are `make torture`.
"""
