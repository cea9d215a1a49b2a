# Fovea in a container. Built for processors; for a GPU: docker build --build-arg TORCH=cu128 -t fovea .
FROM python:3.12-slim

# The index of PyTorch that torch comes from: cpu, or cu126, cu128 and so on for CUDA.
ARG TORCH=cpu

RUN useradd --create-home --uid 1000 user \
    && mkdir /data && chown user:user /data
USER user
ENV HOME=/home/user \
    PATH=/home/user/.local/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FOVEA_HOST=0.0.0.0 \
    FOVEA_PORT=7860 \
    FOVEA_DATA=/data \
    FOVEA_PUBLIC=1
WORKDIR /home/user/app

COPY --chown=user requirements.txt constraints.txt ./
RUN pip install --user --no-cache-dir --index-url https://download.pytorch.org/whl/${TORCH} "torch>=2.8,<2.14" \
    && pip install --user --no-cache-dir -r requirements.txt
COPY --chown=user app.py LICENSE ./
COPY --chown=user app ./app
COPY --chown=user assets ./assets
COPY --chown=user model ./model
COPY --chown=user panels ./panels
COPY --chown=user studies ./studies

VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/gradio_api/app_id', timeout=8)"]
CMD ["python", "app.py"]
