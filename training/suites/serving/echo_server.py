"""The yardstick: a bare grpc.aio server of the same messages, with no interceptor and nothing to do.

    python -m training.suites.serving.echo_server

It reads a `GenerateRequest` and answers with a `GenerateReply` of a usual size. The first line on standard output says
where it listens, as the service's own does.
"""

from __future__ import annotations

import asyncio

import grpc

from router.v1 import apportion_router_pb2 as pb
from training.suites.serving.wire import SERVICE


async def generate(request: pb.GenerateRequest, _context: object) -> pb.GenerateReply:
    """A reply with an answer, usage and a decision, as small as they get."""
    return pb.GenerateReply(
        decision_id="0" * 32,
        status=pb.STATUS_ANSWERED,
        answers=[pb.Answer(parts=[pb.Part(text="The answer is 42.")], finish_reason="stop", confidence=0.5)],
        usage=pb.Usage(total=pb.UsageItem(out=5, samples=1, cost=10)),
        decision=pb.DecisionInfo(plan="small", propensity=1.0, policy="echo"),
        request_id=request.request_id,
    )


async def serve() -> None:
    """Until the process is ended."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        generate,
        request_deserializer=pb.GenerateRequest.FromString,
        response_serializer=pb.GenerateReply.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Generate": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening router=127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve())
