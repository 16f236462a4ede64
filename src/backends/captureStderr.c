// captureStderr(work): calls the function `work`, which must not throw, while file descriptor 2 leads to a temporary file. Returns what was
// written there, by JavaScript, C or C++. `mswitch setup` compiles it, because Node.js has no call that replaces a file descriptor.
#define NAPI_VERSION 8
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static napi_value captureStderr(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value work = NULL, receiver = NULL, text = NULL;
  napi_get_cb_info(env, info, &count, &work, &receiver, NULL);
  fflush(stderr);
  FILE* file = tmpfile();
  int saved = dup(2);
  if (file == NULL || saved < 0 || dup2(fileno(file), 2) < 0) {
    if (file != NULL) fclose(file);
    if (saved >= 0) close(saved);
    napi_throw_error(env, NULL, "standard error cannot be captured");
    return NULL;
  }
  napi_call_function(env, receiver, work, 0, NULL, NULL);
  fflush(stderr);
  dup2(saved, 2);
  close(saved);
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  char* bytes = size > 0 ? malloc((size_t)size) : NULL;
  size_t read = bytes == NULL ? 0 : fread(bytes, 1, (size_t)size, file);
  fclose(file);
  napi_create_string_utf8(env, bytes == NULL ? "" : bytes, read, &text);
  free(bytes);
  return text;
}

NAPI_MODULE_INIT() {
  napi_value capture = NULL;
  napi_create_function(env, "captureStderr", NAPI_AUTO_LENGTH, captureStderr, NULL, &capture);
  return capture;
}
