// The JSON API of `pal oracle serve`.

const TIMEOUT_MS = 15_000;
const REFUSALS = new Set([400, 404, 409, 413, 422]); // the server has understood, and will never take this request

/** The server answered, and it was not yes. */
export class ApiError extends Error {
  constructor(status, error, mend) {
    super([error || `The server answered ${status}.`, mend].filter(Boolean).join(" "));
    this.status = status;
  }

  /** Sending it again cannot help. */
  get final() {
    return REFUSALS.has(this.status);
  }

  /** The token or its cookie is missing. */
  get denied() {
    return this.status === 401 || this.status === 403;
  }
}

async function call(path, options = {}) {
  const response = await fetch(path, { ...options, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, body.error, body.mend);
  return body;
}

export function getState(annotator) {
  return call(`/api/state?annotator=${encodeURIComponent(annotator)}`);
}

export function post(path, body) {
  return call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

/** At most `size` device pixels on the longer side; small images come as they are. */
export function imageUrl(id, size) {
  return `/api/images/${encodeURIComponent(id)}?size=${size}`;
}
