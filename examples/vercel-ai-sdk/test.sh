set -euo pipefail
packed=$(cd "$ROOT/clients/node" && npm pack --silent --pack-destination "$PWD/../../examples/vercel-ai-sdk" >/dev/null && ls -t "$ROOT"/examples/vercel-ai-sdk/*.tgz | head -1)
npm install --silent --no-audit --no-fund "$packed"
rm "$packed"
npx vitest run
