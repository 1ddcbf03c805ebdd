# host-stt with an NVIDIA card. The driver comes from the host (NVIDIA Container Toolkit), cuBLAS from the lock file.
# Build from the root of the repository: docker build -f docker/cuda.Dockerfile -t host-stt:cuda .
# The steps are in docker/system.sh and docker/install.sh; the tests run both scripts.

FROM debian:12-slim AS build
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
RUN docker/install.sh /opt/host-stt cuda

FROM debian:12-slim
COPY docker/system.sh /usr/local/sbin/host-stt-system
RUN host-stt-system run \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 8082 --create-home host-stt \
    && install -d -o host-stt /data
COPY --from=build /opt/host-stt /opt/host-stt
COPY docker/health.py /opt/host-stt/health.py
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENV PATH=/opt/host-stt/bin:$PATH
USER host-stt
WORKDIR /data
VOLUME /data
EXPOSE 8082
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --start-period=60s CMD ["python", "/opt/host-stt/health.py"]
ENTRYPOINT ["host-stt"]
CMD ["serve", "--set", "data.dir=/data"]
