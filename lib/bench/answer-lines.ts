import { createInterface } from 'node:readline';

/** Serves a program of bench/: each line of JSON on standard input is a request, and is answered by one line. */
export async function answerLines<Request>(
  answer: (request: Request) => Promise<Record<string, unknown>>,
): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    let reply: Record<string, unknown>;
    try {
      reply = await answer(JSON.parse(line) as Request);
    } catch (error) {
      reply = { error: error instanceof Error ? error.message : String(error) };
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
}
