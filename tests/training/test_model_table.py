from mobilenet_lab.models.mobilenet_v2 import MobileNetV2
from mobilenet_lab.models.stages import Stage, measure_stages
from mobilenet_lab.training.model_table import model_table


def test_table_has_a_row_per_stage_and_the_sum() -> None:
    lines = model_table([Stage("stem", (4, 28, 28), 1044, 28_224), Stage("\x1b[2J" * 9, None, 6, 1_000_000)])
    assert [line.split("  ")[0] if line.strip() else "" for line in lines] == [""] * 4
    assert [line.split() for line in lines] == [
        ["stage", "output", "parameters", "MACs"],
        ["stem", "4", "x", "28", "x", "28", "1,044", "28,224"],
        ["\\x1b[2J\\x1b[2J\\x1b[2J...", "6", "1,000,000"],
        ["sum", "1,050", "1,028,224"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_table_of_the_largest_network_fits_into_80_columns() -> None:
    stages = measure_stages(MobileNetV2(filters=64, in_channels=3, num_classes=1000), 3, 4096)
    assert max(len(line) for line in model_table(stages)) <= 80
