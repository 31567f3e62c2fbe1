"""A Ray cluster on loopback, in a process of its own: nodes are added and killed by lines of JSON.

Started as a program, it prints the address of a head without cores, then answers each line of
standard input, `{"add": ENVIRONMENT}` or `{"kill": NODE}`, with a number; it ends with its input.
"""

import json
import os
import subprocess
import sys

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
# The head takes a node for dead once five looks in a row failed: by default that is half a minute.
LOOKS = {
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "5000",
}


def serve() -> None:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = []
    print(cluster.address, flush=True)
    try:
        for line in sys.stdin:
            order = json.loads(line)
            if "add" in order:
                nodes.append(cluster.add_node(num_cpus=1, env_vars=order["add"]))
            else:
                cluster.remove_node(nodes[order["kill"]], allow_graceful=False)
            print(len(nodes) - 1, flush=True)
    finally:
        cluster.shutdown()


class Nodes:
    """The cluster's end in a test."""

    def __init__(self) -> None:
        line = [sys.executable, "-m", "tests.extraction.ray_nodes"]
        self._process = subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | LOOPBACK | LOOKS,
            text=True,
        )
        self.address = self._process.stdout.readline().strip()

    def _order(self, **order) -> int:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def add(self, environment) -> int:
        """A node of one core; its number."""
        return self._order(add=environment)

    def kill(self, node) -> None:
        """Kills a node, as if its power were cut."""
        self._order(kill=node)

    def end(self) -> None:
        self._process.communicate()


if __name__ == "__main__":
    serve()
