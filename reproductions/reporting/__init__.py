"""The report: what each paper claims, what came out here, what it cost, as one page and the same in Markdown."""
