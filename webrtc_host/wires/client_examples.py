"""The examples of `client_settings`, as templates: $http, $ws and $wss are the server's address.

Each one is as short as its client allows, and can be pasted. A test compiles or parses each one.
"""

from __future__ import annotations

from webrtc_host.session.channel_seams import DoorKind

OPENAI_FILES = """
from openai import OpenAI

client = OpenAI(base_url="$http/v1", api_key="TOKEN")
with open("call.wav", "rb") as audio:
    print(client.audio.transcriptions.create(model="whisper-1", file=audio).text)
"""
OPENAI_REALTIME = """
from openai import AsyncOpenAI

client = AsyncOpenAI(base_url="$http/v1", api_key="TOKEN")
connection = client.realtime.connect(extra_query={"intent": "transcription"})
"""
OPENAI_BROWSER = """
import { OpenAIRealtimeWebRTC } from "@openai/agents-realtime";

// secret: your server gets it from POST $http/v1/realtime/client_secrets, with TOKEN as its key
const transport = new OpenAIRealtimeWebRTC();
await transport.connect({ apiKey: secret, url: "$http/v1/realtime/calls", model: "gpt-realtime" });
"""
DEEPGRAM = """
from deepgram import AsyncDeepgramClient
from deepgram.environment import DeepgramClientEnvironment

here = DeepgramClientEnvironment(
    base="$http",
    production="$ws",
    agent="$ws",
    agent_rest="$http",
)
client = AsyncDeepgramClient(api_key="TOKEN", environment=here)
connection = client.listen.v1.connect(model="nova-3", encoding="linear16", sample_rate=16000)
"""
ASSEMBLYAI = """
from assemblyai.streaming.v3 import RealTimeTranscriber, RealTimeTranscriberOptions

client = RealTimeTranscriber(RealTimeTranscriberOptions(api_key="TOKEN", api_host="$ws"))
"""
SPEECHMATICS = """
from speechmatics.rt import AsyncClient

client = AsyncClient(api_key="TOKEN", url="$ws/v2")
"""
SPEECHMATICS_AGENT = """
from speechmatics.agent_stt import AgentSttAsyncClient, TranscriptionConfig

config = TranscriptionConfig(language="en", enable_partials=True)
client = AgentSttAsyncClient(api_key="TOKEN", url="$ws/v2/agent", transcription_config=config)
"""
LIVEKIT = {
    DoorKind.DEEPGRAM: """
from livekit.plugins import deepgram

stt = deepgram.STT(base_url="$http/v1/listen", api_key="TOKEN")  # or STTv2 with /v2/listen
""",
    DoorKind.ASSEMBLYAI: """
from livekit.plugins import assemblyai

stt = assemblyai.STT(base_url="$ws", api_key="TOKEN")
""",
    DoorKind.OPENAI: """
from livekit.plugins import openai

stt = openai.STT(base_url="$http/v1", api_key="TOKEN", model="gpt-4o-transcribe", use_realtime=True)
""",
    DoorKind.SPEECHMATICS: """
from livekit.plugins import speechmatics

stt = speechmatics.STT(base_url="$ws/v2/agent", api_key="TOKEN")
""",
}
PIPECAT_SERVICES = {
    DoorKind.DEEPGRAM: """
from pipecat.services.deepgram.stt import DeepgramSTTService

stt = DeepgramSTTService(base_url="$ws", api_key="TOKEN")
""",
    DoorKind.ASSEMBLYAI: """
from pipecat.services.assemblyai.stt import AssemblyAISTTService

stt = AssemblyAISTTService(api_endpoint_base_url="$ws/v3/ws", api_key="TOKEN")
""",
    DoorKind.OPENAI: """
from pipecat.services.openai.stt import OpenAIRealtimeSTTService

stt = OpenAIRealtimeSTTService(base_url="$ws/v1/realtime", api_key="TOKEN")
""",
    DoorKind.SPEECHMATICS: """
from pipecat.services.speechmatics.stt import SpeechmaticsSTTService

stt = SpeechmaticsSTTService(base_url="$ws/v2/agent", api_key="TOKEN")
""",
}
PIPECAT = """
import { PipecatClient } from "@pipecat-ai/client-js";
import { SmallWebRTCTransport, WavMediaManager } from "@pipecat-ai/small-webrtc-transport";

// The default media manager loads code from c.daily.co; this one needs no other server.
const transport = new SmallWebRTCTransport({ mediaManager: new WavMediaManager() });
const client = new PipecatClient({ transport, enableMic: true });
const headers = new Headers({ Authorization: "Bearer TOKEN" });
await client.connect({ webrtcRequestParams: { endpoint: "$http/api/offer", headers } });
"""
TWILIO = """
<Response>
  <Start><Stream url="$wss/twilio/C01" track="both_tracks">
    <Parameter name="token" value="TOKEN"/>
    <Parameter name="outbound_channel" value="C02"/>
  </Stream></Start>
  <Pause length="3600"/>
</Response>
"""
TWILIO_SIGNED = TWILIO.replace('    <Parameter name="token" value="TOKEN"/>\n', "")
TELNYX = """
{"stream_url": "$wss/telnyx/C01?token=TOKEN", "stream_track": "both_tracks"}
"""
VOSK = """
./test_microphone.py -u "$ws/vosk?token=TOKEN"
"""
WHISPERLIVE = """
from whisper_live.client import TranscriptionClient

# The client joins these to $live/whisperlive?token=TOKEN
client = TranscriptionClient("$host", "$port/whisperlive?token=TOKEN", use_wss=$is_tls)
"""
WYOMING = """
Settings > Devices & services > Add integration > Wyoming Protocol
  Host: $tcp_host
  Port: $tcp_port
"""
TRUNK_RECORDER = """
{"plugins": [{"name": "rdioscanner_uploader", "library": "librdioscanner_uploader.so",
  "server": "$http",
  "systems": [{"shortName": "county", "apiKey": "TOKEN", "systemId": 11}]}]}
"""
OPENMHZ = """
{"uploadServer": "$http",
  "systems": [{"shortName": "county", "apiKey": "TOKEN"}]}
"""
SDRTRUNK = """
Streaming > New > Rdio Scanner
  URL: $http/api/call-upload
  API Key: TOKEN
  System ID: 11
"""
RDIO_SCANNER = """
curl -F audio=@call.wav -F key=TOKEN -F system=11 -F talkgroup=$talkgroup -F dateTime=$(date +%s) \\
  $http/api/call-upload
"""
SIMPLESTREAM = """
{"plugins": [{"name": "simplestream", "library": "libsimplestream.so",
  "streams": [{"address": "$udp_host", "port": $udp_port, "TGID": 0, "shortName": "county",
    "sendJSON": true, "sendCallStart": true, "sendCallEnd": true}]}]}
"""
