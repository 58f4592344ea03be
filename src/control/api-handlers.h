#pragma once

/* What answers the rows of api-table.c, one function each. */

#include "control/api.h"

void api_functions(struct api_call *call);
void api_function(struct api_call *call);
void api_function_launch(struct api_call *call);
void api_records(struct api_call *call);
void api_record(struct api_call *call);
void api_recording(struct api_call *call);
void api_replay(struct api_call *call);
void api_logs(struct api_call *call);
void api_trace(struct api_call *call);
void api_series(struct api_call *call);
void api_usage(struct api_call *call);
void api_system(struct api_call *call);
void api_live(struct api_call *call);
void api_stream(struct api_call *call);
void api_tokens(struct api_call *call);
void api_token_create(struct api_call *call);
void api_token_remove(struct api_call *call);
void api_login_create(struct api_call *call);
void api_login(struct api_call *call);
void api_logout(struct api_call *call);
void api_openapi(struct api_call *call);
void api_event_list(struct api_call *call);
void api_event(struct api_call *call);
void api_event_put(struct api_call *call);
void api_event_remove(struct api_call *call);
