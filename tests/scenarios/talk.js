// Talk into the fake microphone over a connection made by hand, and tell what became of it.
async ({ seconds, policy = "all", servers = "offered" }) => {
  const began = performance.now();
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const ice = await (await fetch("/api/ice")).json();
  const iceServers = servers === "none" ? [] : ice.ice_servers;
  const pc = (window.pc = new RTCPeerConnection({ iceServers, iceTransportPolicy: policy }));
  pc.addTrack(stream.getTracks()[0], stream);
  const settled = new Promise((done) => {
    const look = () => ["connected", "failed", "closed"].includes(pc.connectionState) && done();
    pc.onconnectionstatechange = look;
    setTimeout(done, 40_000);
  });
  await pc.setLocalDescription();
  await new Promise((done) => {
    if (pc.iceGatheringState === "complete") done();
    pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && done();
    // The relay's comes last of those that count; what Chromium then still waits for takes five seconds.
    pc.onicecandidate = ({ candidate }) => candidate?.type === "relay" && done();
    setTimeout(done, 5_000);
  });
  const offered = performance.now();
  const answer = await fetch("/offer", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ sdp: pc.localDescription.sdp, type: "offer" }),
  });
  const body = await answer.json();
  if (!answer.ok) return { state: "refused", body };
  await pc.setRemoteDescription({ type: "answer", sdp: body.sdp });
  await settled;
  const told = { state: pc.connectionState, gathered_ms: offered - began };
  told[`${pc.connectionState}_ms`] = performance.now() - offered;
  if (pc.connectionState !== "connected") return { ...told, sdp: body.sdp };
  await new Promise((done) => setTimeout(done, seconds * 1000));
  const stats = new Map();
  (await pc.getStats()).forEach((entry) => stats.set(entry.id, entry));
  const transport = [...stats.values()].find((entry) => entry.type === "transport");
  const pair = stats.get(transport.selectedCandidatePairId);
  const [local, remote] = [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)];
  return { ...told, protocol: local.protocol, kind: local.candidateType, remote: remote.address, connection: body.connection };
}
