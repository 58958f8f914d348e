"""What is refused and what is told of data, one entry each: the page of checks is made of it.

Why a check exists, and what the backends do without it, is the docstring of its function.
"""

from __future__ import annotations

from dataclasses import dataclass

REFUSED, TOLD = "refused", "a warning"


@dataclass(frozen=True)
class Entry:
    """One thing that can be wrong.

    Args:
        code: Its identifier.
        name: The check's file; a name of its own where a source of data refuses it.
        title: What is wrong, in a few words.
        outcome: Whether it is refused, told, or which of the two when.
        cure: What to do.
        cause: Why it matters, where no check's docstring says it.
    """

    code: str
    name: str
    title: str
    outcome: str
    cure: str
    cause: str = ""


CHECKS: tuple[Entry, ...] = (
    Entry(
        "SLP-401",
        "sparse_labels", "Labels out of range, wrongly based, or with fractions", REFUSED,
        "Subtract what the labels begin with; number them with `numpy.unique(y, "
        "return_inverse=True)`; give the model as many outputs as there are classes; for labels"
        " that mean no class, `ignore_class`.",
    ),
    Entry(
        "SLP-402",
        "binary_labels", "Labels outside 0 to 1 with a binary cross-entropy", REFUSED,
        "`(y + 1) / 2` for -1 and 1, `y - 1` for 1 and 2; a softmax for more than two classes.",
    ),
    Entry(
        "SLP-403",
        "missing_class", "A class of the model without examples", TOLD,
        "Check how labels are read and whether the folder of a class is empty; else take the output"
        " away.",
    ),
    Entry(
        "SLP-404",
        "unseen_class", "A class that is judged and never trained", TOLD,
        "Shuffle before splitting, or split with equal shares of each class.",
    ),
    Entry(
        "SLP-405",
        "one_class", "Examples of a single class", TOLD,
        "Shuffle before splitting; check how labels are read.",
    ),
    Entry(
        "SLP-406",
        "class_imbalance", "Classes of very different size", TOLD,
        "`sample_weight`, `class_weight` in fit, or `loss.name = \"focal\"`; watch F1 or AUC.",
    ),
    Entry(
        "SLP-407",
        "target_form", "One-hot targets with a sparse loss, or the reverse", REFUSED,
        "The loss of the other form, `y.argmax(axis=-1)`, or `numpy.eye(classes)[y]`.",
    ),
    Entry(
        "SLP-408",
        "not_finite", "NaN or infinity in inputs, targets or weights", REFUSED,
        "Leave these examples out, or fill in what is missing; scale what float32 cannot hold.",
    ),
    Entry(
        "SLP-409",
        "target_domain", "Targets that the loss is not made for", REFUSED,
        "Mend the targets, or take the loss that they are made for.",
    ),
    Entry(
        "SLP-410",
        "zero_vectors", "Targets of zeros with a cosine similarity", TOLD,
        "Leave these examples out, or give them the weight 0.",
    ),
    Entry(
        "SLP-411",
        "one_hot_rows", "Targets that do not sum to 1", TOLD,
        "Divide each row by its sum; for several classes an example, sigmoid and"
        " `binary_crossentropy`.",
    ),
    Entry(
        "SLP-412",
        "reachable_targets", "Targets that the last activation never reaches", TOLD,
        "No activation at the end, or targets scaled into its range.",
    ),
    Entry(
        "SLP-413",
        "probabilities", "Softmax or sigmoid where the loss expects logits, or the reverse",
        REFUSED, "`from_logits` as the last layer is, or another last activation.",
    ),
    Entry(
        "SLP-414",
        "prediction_domain", "An output of any sign where the loss takes a rate or probabilities",
        REFUSED, "`softplus` or `exponential` for Poisson, `softmax` for a divergence.",
    ),
    Entry(
        "SLP-415",
        "accuracy_of_logits", "An accuracy that takes logits for probabilities", TOLD,
        "`keras.metrics.BinaryAccuracy(threshold=0.0)`, in a task file `{'class_name':"
        " 'BinaryAccuracy', 'config': {'name': 'accuracy', 'threshold': 0.0}}`; or a"
        " sigmoid and `from_logits=False`.",
    ),
    Entry(
        "SLP-416",
        "one_unit", "A softmax over one unit", REFUSED,
        "`Dense(1, activation=\"sigmoid\")` with `binary_crossentropy`, or two units.",
    ),
    Entry(
        "SLP-417",
        "scalar_outputs", "Metrics of an output that is a bare number", REFUSED,
        "End the model with `Dense(1)`, without a Flatten or Reshape after it.",
    ),
    Entry(
        "SLP-418",
        "target_shapes", "Targets of another shape that would be broadcast", REFUSED,
        "Give the targets the output's shape, or the model an output of theirs.",
    ),
    Entry(
        "SLP-419",
        "flat_targets", "(N,) against (N, 1) where that is broadcast to (N, N)", REFUSED,
        "`y[..., None]`, or `y[..., 0]`.",
    ),
    Entry(
        "SLP-420",
        "weight_shapes", "Sample weights along the wrong axis", REFUSED,
        "`sample_weight.reshape(-1, 1)` for outputs of several steps.",
    ),
    Entry(
        "SLP-421",
        "weight_values", "Weights that are all 0 (refused) or negative (a warning)",
        "refused, or a warning", "Check how they are made.",
    ),
    Entry(
        "SLP-422",
        "input_shapes", "Inputs of another shape than the model's", REFUSED,
        "`numpy.moveaxis(x, 1, -1)` where the channels come first; else reshape the array, or"
        " change the model's `Input`.",
    ),
    Entry(
        "SLP-423",
        "structure", "Arrays that are missing, misnamed or too many", REFUSED,
        "A tuple in the order of the model's inputs or outputs, or a dict with their names.",
    ),
    Entry(
        "SLP-424",
        "equal_lengths", "Different numbers of inputs, targets and weights", REFUSED,
        "Load them from the same rows.",
    ),
    Entry(
        "SLP-425",
        "array_types", "Text, objects, lists or dates in place of numbers", REFUSED,
        "`numpy.asarray`, equal lengths of all rows, numbered labels; or an input of dtype"
        " `\"string\"`.",
    ),
    Entry(
        "SLP-426",
        "unscaled_inputs", "Bytes that reach the first layer unscaled", TOLD,
        "Divide by 255, or begin the model with `keras.layers.Rescaling(1 / 255)`.",
    ),
    Entry(
        "SLP-427",
        "constant_features", "Features that are the same in every example", TOLD,
        "Check how they are read, or leave them out.",
    ),
    Entry(
        "SLP-428",
        "empty_split", "A split without examples", REFUSED,
        "Check the filter or slice that makes it; leave the test split out if there is none.",
    ),
    Entry(
        "SLP-429",
        "tiny_split", "A split of fewer than ten examples", TOLD, "Set more examples apart.",
    ),
    Entry(
        "SLP-430",
        "shared_rows", "Rows shared between training and what is judged",
        "refused from half of a split on, else a warning",
        "Split before examples are copied, oversampled, augmented or cut into windows, and keep"
        " equal ones in one split.",
    ),
    Entry(
        "SLP-431",
        "sorted_labels", "Sorted labels without shuffling", TOLD,
        "Leave `shuffle=False` out, or shuffle inputs and targets together.",
    ),
    Entry(
        "SLP-432",
        "mixed_channels", "Grey, coloured and transparent images in one folder", TOLD,
        "Convert the files to one kind.",
    ),
    Entry(
        "SLP-433",
        "skipped_files", "Files of a folder that were skipped, as asked for", TOLD,
        "Convert, fetch again or move them.",
    ),
    Entry(
        "SLP-434",
        "batch_size", "An update larger than the training split", REFUSED,
        "A smaller `batch.size` or `batch.accumulation`.",
    ),
    Entry(
        "SLP-435",
        "monitor_name", "A monitor that the model does not log", REFUSED,
        "One of the names in the message.",
    ),
    Entry(
        "SLP-437",
        "metric_targets", "A metric that cannot read the targets as they are", REFUSED,
        "`accuracy`, `f1_macro`, or targets in the form that the metric takes:"
        " `numpy.eye(classes)[y]`.",
    ),
    Entry(
        "SLP-438",
        "threshold_of_logits", "A metric of probabilities where the model yields logits", REFUSED,
        "A sigmoid or softmax at the end and `from_logits=False` in the loss; or, for the metric,"
        " `from_logits=True` or `thresholds=0.0`.",
    ),
    Entry(
        "SLP-436",
        "plan_loss", "A plan's loss, or weights of losses, that the model has no place for",
        REFUSED, "Name the model's outputs, or one loss that fits them all.",
        "A plan may train with another loss than the task's, for all outputs or by name. What the"
        " loss takes is then checked like the task's own.",
    ),
    Entry(
        "SLP-439",
        "accuracy_of_values", "An accuracy of measured values", REFUSED,
        "`mae`, `root_mean_squared_error` or `r2_score`; for classes a loss of classes.",
    ),
    Entry(
        "SLP-440",
        "target_value", "A target that the monitor cannot come to", REFUSED,
        "A share in place of percent: `target=0.92`.",
    ),
    Entry(
        "SLP-441",
        "split_scales", "Splits that were scaled in different ways", TOLD,
        "Scale all splits with the numbers of the training split.",
    ),
    Entry(
        "SLP-442",
        "unjudged_class", "A class that is trained and never judged", TOLD,
        "Shuffle before splitting, or split with equal shares of each class.",
    ),
    Entry(
        "SLP-443",
        "sentinels", "Numbers like -999 that stand for a missing value", TOLD,
        "Put the feature's median there, and say in a column of its own where that was; or leave"
        " these examples out.",
    ),
    Entry(
        "SLP-444",
        "feature_scales", "A feature, or a value in it, that is far larger than all others", TOLD,
        "Scale each feature, or begin the model with `keras.layers.Normalization()`; where it is a"
        " few values, mend their rows.",
    ),
    Entry(
        "SLP-445",
        "row_numbers", "A feature that numbers the examples", TOLD,
        "Leave out what is a row number or an id.",
    ),
    Entry(
        "SLP-446",
        "sigmoid_of_classes", "A sigmoid where one of several classes is chosen", TOLD,
        "A softmax; for several classes an example, the loss `binary_crossentropy`.",
    ),
    Entry(
        "SLP-447",
        "class_weight_keys", "Classes that a fit's class_weight leaves out, or does not know", TOLD,
        "One weight for each class, by its number, from 0.",
    ),
    Entry(
        "SLP-448",
        "top_k", "A top-k accuracy of fewer than k classes", REFUSED,
        "Leave it out, or give it a smaller k.",
    ),
    Entry(
        "SLP-449",
        "softmax_of_labels", "A softmax where an example has several labels", TOLD,
        "`activation=\"sigmoid\"` at the end.",
    ),
    Entry(
        "SLP-450",
        "constant_targets", "Measured targets that are all the same", TOLD,
        "Check how they are read, and which column they are.",
    ),
    Entry(
        "SLP-451",
        "embedding_ids", "Ids of tokens or categories outside an Embedding's table", REFUSED,
        "Ids from 0 to `input_dim - 1`: subtract what they begin with, number them with"
        " `numpy.unique(x, return_inverse=True)`, or give the Embedding more rows.",
    ),
)  # fmt: skip

# What sources of data refuse while they are opened or read.
SOURCES: tuple[Entry, ...] = (
    Entry(
        "SLP-310",
        "unreadable_images", "Corrupt, empty or foreign files in a folder of images", REFUSED,
        "Convert, fetch again or move them; or `image_folder(..., skip_unreadable=True)`, which"
        " leaves them out and says so.",
        "Files that are cut off, empty, text under an image's name, of another format, or of 16"
        " bits a channel would fail in the middle of a run, without their name, or be missed"
        " silently. All of them are counted, and the first five named. Damage within a file is"
        " found when it is decoded; `skip_unreadable=True` decodes each once beforehand.",
    ),
    Entry(
        "SLP-311",
        "empty_class_folder", "A class folder without images", REFUSED,
        "Put images there, delete the folder, or name the classes with `classes=[...]`.",
        "Keras' own loader makes an output of it that nothing is ever learnt for.",
    ),
    Entry(
        "SLP-312",
        "stray_images", "Images beside the folders of the classes", REFUSED,
        "Move them into the folder of their class, or away.",
        "They belong to no class and would be missed silently.",
    ),
    Entry(
        "SLP-313",
        "ragged_rows", "Rows of a CSV file with more or fewer values than its header", REFUSED,
        "Mend the lines that the message names; quote values that hold a comma.",
        "What follows would stand in the wrong columns.",
    ),
    Entry(
        "SLP-314",
        "gaps", "Empty cells of a CSV file, nulls of a Parquet file", REFUSED,
        "Fill them in, or leave these rows out.",
        "As numbers they are NaN, which spoils all weights in one update.",
    ),
    Entry(
        "SLP-315",
        "text_column", "Words where a table should have numbers", REFUSED,
        "Leave the column out with `features=[...]`, or write it as numbers: 1234.5 in place of"
        " 1,234.5 or 45%. Names of classes begin with a letter.",
        "A model without an input of dtype `\"string\"` takes numbers. Among targets, one word in"
        " a column of numbers would make names of classes of them all, and dates or numbers with"
        " signs, too: training would go by the places of their sorted words.",
    ),
    Entry(
        "SLP-316",
        "uneven_batches", "A loader that changes shapes, or ends in an error", REFUSED,
        "Pad or resize examples to one shape; mend what makes the batch that the message names.",
        "What hands out batches is read once, before the first step, so that it can neither run"
        " out nor change in a later epoch. The message counts batches from 0.",
    ),
    Entry(
        "SLP-317",
        "no_batches", "A loader without batches, or without an end", REFUSED,
        "Check its filter; leave `.repeat()` out, a plan has epochs of its own.",
        "Nothing can be trained on none, and nobody reads an endless one to its end.",
    ),
)  # fmt: skip

CODES: dict[str, str] = {entry.name: entry.code for entry in (*CHECKS, *SOURCES)}
