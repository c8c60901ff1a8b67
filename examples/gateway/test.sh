# The gateway's upstream is the emulator; the contract run is its client.
set -euo pipefail
emulator serve --port 0 --quiet --ready-file upstream.json --plan unlimited &
upstream=$!
trap 'kill $upstream ${gateway:-} 2>/dev/null || true' EXIT
until [ -s upstream.json ]; do sleep 0.1; done
port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export UPSTREAM PORT=$port
UPSTREAM=$(python -c 'import json; print(json.load(open("upstream.json"))["base_urls"]["beatra"])')
python gateway.py &
gateway=$!
until python -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null; do sleep 0.1; done
emulator contract --provider beatra --url "http://127.0.0.1:$port/v1" --api-key any --phase probe --phase facts --report junit=contract.xml
