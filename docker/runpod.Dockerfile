# The transcription worker as a serverless worker of RunPod, with an NVIDIA card and the model in the image.
# Build from the root of the repository: docker build -f docker/runpod.Dockerfile -t host-stt:runpod .
# Another model: --build-arg MODEL=small. The steps are in docker/system.sh and docker/install.sh;
# scripts/check_runpod.py runs them without Docker.

FROM debian:12-slim AS build
ARG MODEL=large-v3-turbo
WORKDIR /src
COPY docker/system.sh docker/
RUN docker/system.sh build
COPY docker/install.sh docker/
COPY pyproject.toml README.md LICENSE THIRD_PARTY_NOTICES.md ./
COPY requirements requirements/
COPY config config/
COPY host_stt host_stt/
COPY host_stt_common host_stt_common/
COPY webrtc_host webrtc_host/
COPY host_stt_cli host_stt_cli/
COPY demo demo/
RUN docker/install.sh /opt/host-stt runpod
RUN /opt/host-stt/bin/host-stt model fetch "$MODEL" --set engine.models_dir=/opt/host-stt/models

FROM debian:12-slim
ARG MODEL=large-v3-turbo
COPY docker/system.sh /usr/local/sbin/host-stt-system
RUN host-stt-system run \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 8082 --create-home host-stt \
    && install -d -o host-stt /data
COPY --from=build /opt/host-stt /opt/host-stt
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENV PATH=/opt/host-stt/bin:$PATH
ENV MODEL=$MODEL
USER host-stt
WORKDIR /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["host-stt"]
CMD ["runpod", "--set", "data.dir=/data", "--set", "engine.models_dir=/opt/host-stt/models", "--set", "engine.model=${MODEL}"]
