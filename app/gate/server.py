"""The server of the page: its limits, its start and its end."""

import os
import signal
import socket
import threading
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import gradio as gr
import tyro
from starlette.middleware import Middleware

from app.events import JOBS, cancel_button_css
from app.gate.guard import Guard
from app.main import build_app
from app.services import Services
from app.theme import CSS, THEME
from app.zero_gpu import ON
from ezclip.checkpoints.catalog import DEFAULT, ROOT, check_model_name
from ezclip.errors import UserError
from ezclip.files import shipped
from ezclip.types import Keywords
from ezclip.video.worker import SECONDS

ASSETS = shipped("assets")
MAX_FILE = "200mb"
MAX_WEIGHTS = "4gb"  # upload limit of a local server, for weights downloaded with a browser
QUEUE = 10 - JOBS  # maximum number of waiting jobs; further ones get the answer that the server is busy
TIME_LIMIT = 60.0  # seconds of computation per job on a public server
DECODE_TIMEOUT = "10"  # seconds per request to a decoder
SESSIONS = 20  # sessions whose last results are stored; eight frames of 1920 x 1080 are 50 MB
LOOPBACK = ("127.0.0.1", "localhost", "::1")  # hosts that only this machine can reach


@dataclass
class App:
    """Open the app: what a video model sees in a clip, and whether it sees motion.

    The port opens first; the models load in the background.
    """

    host: str = field(default_factory=lambda: os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    """Address to listen on; 0.0.0.0 accepts other machines."""
    port: int = field(default_factory=lambda: int(os.environ.get("GRADIO_SERVER_PORT", "7860")))
    """Port to listen on."""
    model: str = DEFAULT
    """Name, folder or clip:ARCH/TAG."""
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help_behavior_hint="")] = "auto"
    """Device of the models."""
    mcp: bool = False
    """Also serve the studies as MCP tools at /gradio_api/mcp; needs pip install "gradio[mcp]"."""

    def run(self) -> int:
        """Serve until SIGINT or SIGTERM; returns 0.

        Raises:
            UserError: the model or the port cannot be used.
        """
        check_model_name(self.model)
        os.environ.setdefault(SECONDS, DECODE_TIMEOUT)
        local = self.host in LOOPBACK
        services = Services(self.model, self.device, local=local, time_limit=None if local else TIME_LIMIT)
        demo = build_app(services)
        if ON:
            services.load_before_fork()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except (OSError, OverflowError) as error:
                message = f"Port {self.port} on {self.host} is taken or not allowed; choose another with --port."
                raise UserError(message) from error
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        limits: Keywords = {"max_file_size": MAX_FILE}
        if local:
            limits = {"max_file_size": MAX_WEIGHTS, "app_kwargs": {"middleware": [guard(max_per_client=None)]}}
        launch(demo, server_name=self.host, server_port=self.port, mcp_server=self.mcp, **limits)
        services.start()
        ended.wait()
        services.close()
        forced_exit = threading.Timer(1.5, os._exit, (0,))  # a running analysis does not delay shutdown
        forced_exit.daemon = True
        forced_exit.start()
        demo.close(verbose=False)
        return 0


def guard(**options: Any) -> Middleware:
    """The middleware ``Guard`` with ``options``; no limit per client on a Space, whose clients share one address."""
    limits: Keywords = {"max_per_client": None} if "SPACE_ID" in os.environ else {}
    return Middleware(Guard, public=list(ASSETS.glob("samples/*.mp4")), **limits | options)


def launch(demo: gr.Blocks, **options: Any) -> str:
    """Open the port and return the URL; ``options`` override the default ones of ``gr.Blocks.launch``."""
    demo.queue(default_concurrency_limit=1, max_size=QUEUE)
    defaults: Keywords = {
        "prevent_thread_lock": True,
        "theme": THEME,
        "css": CSS + cancel_button_css(demo),
        "show_error": False,
        "run_history": False,
        "ssr_mode": False,
        "max_file_size": MAX_FILE,
        "allowed_paths": [str(ASSETS)],
        "blocked_paths": [str(ROOT), str(ROOT.parent / ".git")],
        "footer_links": ["api", "settings"],
        "state_session_capacity": SESSIONS,
        "enable_monitoring": False,
        "app_kwargs": {"middleware": [guard()]},
    }
    _, url, _ = demo.launch(**(defaults | options))
    return url
