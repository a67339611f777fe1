"""cuDNN's operations of graph neural networks: on a stream, without a handle, on a graph whose arrays lie on the device."""

import itertools
import struct

from .cudnn import FLOAT, HALF, Block

SOURCES, TARGETS, NODE, EDGE = 6, 4, 8, 4
OFFSETS, INDICES = [0, 3, 5, 8, 10], [0, 2, 5, 1, 3, 0, 4, 5, 2, 1]
EDGES = len(INDICES)


def integers(data):
    """A structure on the host as the integers that it consists of."""
    return list(struct.unpack(f"<{len(data) // 4}i", data))


def networks(cudnn):
    """Aggregation of every kind, attention of both, and their gradients. Atomic sums differ from run to run: gradients come from workspaces where they may."""
    call = cudnn.call
    for data_type, wide in itertools.product((FLOAT, HALF, 99), (False, True)):
        known = data_type if data_type != 99 else FLOAT

        def new(name, count, of=known):
            return Block(cudnn, count, of, name)

        def ints(values):
            return Block(cudnn, 0, data=struct.pack(f"<{len(values)}{'q' if wide else 'i'}", *values))

        # Backwards: by source, the targets of its edges, and which edge each was.
        edges = sorted((source, target, at) for at, source in enumerate(INDICES) for target in [next(t for t in range(TARGETS) if at < OFFSETS[t + 1])])
        reverse = [sum(edge[0] < source for edge in edges) for source in range(SOURCES + 1)]

        def structure():
            offsets, indices, back, places = ints(OFFSETS), ints(INDICES), ints(reverse), ints([edge[2] for edge in edges])
            return integers(struct.pack("<QQQQqqqixxxxQ", offsets.address, indices.address, 0, places.address, SOURCES, TARGETS, EDGES, 10 if wide else 4, back.address))

        label, graph = f"{data_type}/{wide}", structure()
        for operation in (0, 1, 2, 3, 9):
            which = f"{label}/{operation}"
            places_of = ints([0] * TARGETS * (NODE + EDGE)) if operation > 1 else 0
            shape = (NODE, EDGE, 2, data_type, operation)
            row = TARGETS * (NODE + EDGE + 2)
            call("cudnnGnnAggSimpleForward", which, graph, new("x", SOURCES * NODE), new("e", EDGES * EDGE), new("c", TARGETS * 2), new("y", row), places_of, *shape)
            gradients = [Block(cudnn, 0, data=b"\0" * 4 * count) for count in (SOURCES * NODE, EDGES * EDGE, TARGETS * 2)]
            call("cudnnGnnAggSimpleBackward", which, graph, new("dy", row), places_of, *gradients, *shape)
        for activation, heads, joined in itertools.product((0, 1, 6, 9), (2, 3), (0, 1)):
            which = f"{label}/{activation}/{heads}/{joined}"
            attention = integers(struct.pack("<ifii", activation, 0.25, heads, joined))
            scores, mask = 2 * heads * EDGES, new("m", heads * EDGES, FLOAT)
            made = TARGETS * NODE if joined else TARGETS * NODE // 2
            inputs = [new("s", SOURCES * NODE), new("t", TARGETS * NODE)]
            first = [*inputs, new("e", EDGES * NODE), new("w", 3 * NODE)]
            call("cudnnGnnMhaGatForward", which, graph, *first, mask, new("y", made), new("p", scores, FLOAT), NODE, NODE, attention, data_type)
            call("cudnnGnnMhaGatV2Forward", which, graph, *first, mask, new("y", made), new("p", scores, FLOAT), new("a", EDGES * NODE), NODE, attention, data_type)
            weights = 3 * NODE
            gradients = [new("ds", SOURCES * NODE), new("dt", TARGETS * NODE), new("de", EDGES * NODE), new("dw", weights), new("dp", scores, FLOAT), new("fs", EDGES * NODE), new("ws", TARGETS * weights)]
            call("cudnnGnnMhaGatBackward", which, graph, new("dy", made), *first, new("p", scores, FLOAT), mask, 0, *gradients, NODE, NODE, attention, data_type, data_type, data_type)
            call("cudnnGnnMhaGatV2Backward", which, graph, new("dy", made), *first, new("p", scores, FLOAT), new("a", EDGES * NODE), mask, 0, *gradients, NODE, attention, data_type, data_type)
            # What the graph consists of is given back with the rest.
            cudnn.done()
            graph = structure()
        cudnn.done()
