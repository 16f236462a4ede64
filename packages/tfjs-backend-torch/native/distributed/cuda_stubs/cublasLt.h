#pragma once

// What ATen's CUDA headers, which c10d's NCCL includes, name of this library; taken where the toolkit's own header is absent.
using cublasLtHandle_t = struct cublasLtContext*;
