"""A process that writes answers into a store until it is done or killed: python store_process.py WHERE NAME COUNT."""

import sys

from pal_plugin.oracle.questions import Grid
from pal_plugin.oracle.store import RelationStore

where, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with RelationStore.open(where) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for k in range(count):
        question = Grid(k % 10, [10, 11, 12 + k % 8])
        if k % 2:
            number = store.record(question, [1, -1, 0], annotator=name, source="process")
        else:
            number = store.ask(question, annotator=name, source="process")
            store.answer(number, [1, -1, 0], annotator=name)
        print(number, flush=True)  # whoever reads this may rely on it
