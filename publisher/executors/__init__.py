"""Where kernels and reducers run: in this process, in worker processes, or on Spark. The same bits everywhere."""
