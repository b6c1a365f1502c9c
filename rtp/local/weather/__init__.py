"""AWS's weather: the engine answers as AWS does on a bad day, at the API's edge. Nothing behind the edge knows of it.

`edge.Edge` is ASGI middleware. It reads each request into a `Call` (service, operation, parameters) and asks every
effect: `before` may answer instead of the engine, `after` may change the engine's answer. An effect is a class in a
module of `effects/`, one kind of behaviour a module, listed in `catalogue.EFFECTS`:

    class EmptyReceives(Effect):
        name = "empty-receives"  # of --weather-effects; a row of docs/local.md
        summary = "ReceiveMessage returns fewer messages than there are, or none."
        source = "https://docs.aws.amazon.com/…"

        async def before(self, call: Call) -> Response | None:
            if call.named("sqs", "ReceiveMessage") and self.happens(0.1):
                return call.answer({})
            return None

- `self.random` is seeded by the run's seed and the effect's name; `self.happens(chance)` draws from it. `self.now()` is
  the time in seconds: use it, not `time.time`, so that a test can set the time. State is kept in the effect.
- `call.params` are the parameters under their API names: of JSON and REST services as in boto3, of the query protocol
  (CloudFormation, STS, IAM) flat texts. `call.answer(document)` is a success, `call.error(code, message, status)` an
  error, both in the call's protocol. `await call.again(Limit=1)` makes the call with other parameters.
- `response.ok`, `response.document` (parsed JSON), `response.with_document(changed)`. XML: `response.body`.
- `after` sees every answer, also one that another effect has given: check `response.ok` first.
- A fault (an error or a lost connection that a retry cures) must ask `call.may_fail()` and do nothing if it is False:
  the faults of all effects together are at most two for one call of a client, so that an SDK's retries succeed.
- A fault that only waiting cures, such as a state that takes seconds, must end within seconds of `self.now()`.
- `is_optional = True`: part of the weather only if it is named.
"""
