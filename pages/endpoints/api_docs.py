"""The description of the REST interface for people, at ``/api/docs``, from files on this server alone."""

import secrets
from importlib.resources import files

from fastapi import FastAPI
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

ASSETS = "/api/docs/assets"

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Parley API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="{assets}/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="{assets}/swagger-ui-bundle.js"></script>
<script nonce="{nonce}">SwaggerUIBundle({{url: "{schema}", dom_id: "#swagger-ui", validatorUrl: null}})</script>
</body></html>"""

# Swagger UI writes style attributes, so styles need 'unsafe-inline' on this one page.
POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def install(app: FastAPI) -> None:
    """Serve the page and its files."""
    assets = files("fastapi_offline").joinpath("static")
    app.mount(ASSETS, StaticFiles(directory=str(assets)), name="api-docs-assets")

    @app.get("/api/docs", include_in_schema=False)
    async def api_docs() -> Response:
        nonce = secrets.token_urlsafe(16)
        page = PAGE.format(assets=ASSETS, schema=app.openapi_url, nonce=nonce)
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY.format(nonce=nonce)})
