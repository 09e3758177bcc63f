#!/bin/sh
# Installs what headgate is measured beside, each in its own folder of DIR and pinned to a version:
#
#   benchmarks/install_peers.sh DIR
#
# nginx comes from the Debian package, unpacked and not installed: no service is started and root is not needed.
set -eu

NGINX=1.22.1
LITELLM=1.106.2
OPENTELEMETRY=1.45.2
PORTKEY=1.15.2
HONO_SERVER=1.13.5
HONO_WS=1.2.0

if [ $# -ne 1 ]; then
    echo "usage: $0 DIR" >&2
    exit 2
fi
mkdir -p "$1"
cd "$1"

install_nginx() {
    mkdir -p nginx && cd nginx &&
        apt-get download "nginx=$NGINX*" &&
        dpkg -x nginx_"$NGINX"*.deb . &&
        usr/sbin/nginx -v
}

# The OpenTelemetry SDK is in LiteLLM's container image; without it every request tries, and fails, to import it.
install_litellm() {
    "${PYTHON:-python3}" -m venv litellm &&
        litellm/bin/pip install --quiet --disable-pip-version-check \
            "litellm[proxy]==$LITELLM" "opentelemetry-sdk==$OPENTELEMETRY" &&
        LITELLM_LOCAL_MODEL_COST_MAP=True litellm/bin/python -c 'import litellm.proxy.proxy_server'
}

# Portkey asks for any 1.x of @hono/node-server, but from 1.14.2 on its streams answer 500 (Portkey issue 1389).
# 1.13.5 is what its own lockfile has; the WebSocket helper is held back to go with it.
install_portkey() {
    mkdir -p portkey &&
        npm install --prefix portkey --no-audit --no-fund --save-exact \
            "@portkey-ai/gateway@$PORTKEY" "@hono/node-server@$HONO_SERVER" "@hono/node-ws@$HONO_WS"
}

# One that cannot be installed here does not keep the others away; the run leaves it out by name.
failed=""
for peer in nginx litellm portkey; do
    ("install_$peer") || failed="$failed $peer"
done
if [ -n "$failed" ]; then
    echo "not installed:$failed" >&2
    exit 1
fi
