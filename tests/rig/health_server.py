"""A gRPC server with the standard health service: health_server.py PORT DIR; the health of service S is in DIR/status-S."""

import asyncio
import sys
from pathlib import Path

import grpc

STATUS = {"UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2}


def service_of(request):
    """The `service` of a HealthCheckRequest: field 1, a string."""
    return request[2:].decode() if request else ""


async def main(port, directory):
    async def check(request, context):
        path = Path(directory) / f"status-{service_of(request)}"
        if not path.exists():
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        status = STATUS[path.read_text()]
        return bytes([1 << 3, status]) if status else b""

    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(check)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method}),))
    server.add_insecure_port(f"[::]:{port}")
    await server.start()
    await server.wait_for_termination()


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
